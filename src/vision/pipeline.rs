//! All nets together: opened from verified files, run on one frame after the other. One thread owns it.

use std::thread;

use super::{
    DecodeError, Detector, Embedder, EyesSpec, Face, ImageView, InferenceError, LivenessNet, LivenessSpec, NetSpec,
    PictureError, Provider, ProviderReport, Quality, QualityLimits, Runtime, RuntimeError, VerifiedModels,
    detect::Care, eyes::EyesNet,
};
use crate::domain::{ArtifactId, EmbeddingError, EmbeddingSpaceId, SpaceMismatch, Template};

/// A frame could not be judged: the box is unwell, or was handed something that is no face.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// A net failed.
    #[error("inference failed")]
    Inference(#[from] InferenceError),
    /// The embedder's answer is no direction.
    #[error("the embedder's answer is not an embedding")]
    Embedding(#[from] EmbeddingError),
    /// The student's templates were made for another embedder.
    #[error("the templates cannot be compared with this embedder's probes: push a roster made for it")]
    Space(#[from] SpaceMismatch),
    /// Not a picture.
    #[error("the picture cannot be looked at")]
    Picture(#[from] PictureError),
    /// Not decoded.
    #[error("the picture cannot be decoded")]
    Decode(#[from] DecodeError),
    /// No face can lie like that.
    #[error("the face has no extent")]
    NoExtent,
}

/// How the pipeline is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Threads of each net that was not tuned to this machine. One is best on a small box: the nets are so small that splitting them costs more than it gains.
    pub threads: usize,
    /// Runs all nets on this provider, whatever the manifest says.
    pub provider: Option<Provider>,
    /// Smallest face that [`Pipeline::detect`] looks for, pixels from forehead to chin.
    pub min_face: u32,
    /// When a frame is unfit for comparison.
    pub quality: QualityLimits,
    /// Opens the net for the eyes too, where the manifest names one: [`Pipeline::photo_quality`] then says whether they are open. A door
    /// has no use for it.
    pub eyes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, provider: None, min_face: 80, quality: QualityLimits::FRAME, eyes: false }
    }
}

/// The nets, ready to run.
pub struct Pipeline {
    detector: Detector,
    embedder: Embedder,
    liveness: LivenessNet,
    eyes: Option<EyesNet>,
    options: Options,
    reports: Vec<ProviderReport>,
    luma: Vec<f32>,
}

impl Pipeline {
    /// Loads the runtime and all nets, side by side.
    ///
    /// ```no_run
    /// use std::path::Path;
    ///
    /// use examgate::vision::{Manifest, Options, Pipeline, decode_file};
    ///
    /// // The folder that holds models/ and runtime/, as models/fetch makes them.
    /// let folder = Path::new("/usr/share/examgate");
    /// let models = Manifest::load(&folder.join("models/manifest.toml"))?.verify(folder)?;
    /// let mut pipeline = Pipeline::open(&models, Options::default())?;
    ///
    /// let photo = decode_file(&std::fs::read("ada.jpg")?)?;
    /// let faces = pipeline.detect_photo(&photo.view()?)?;
    /// let template = pipeline.embed_photo(&photo.view()?, faces.first().ok_or("there is no face")?)?;
    /// println!("{} numbers of {:?}", template.embedding.as_slice().len(), template.space);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the runtime does not load, or a net runs on none of its providers or is not as the manifest says.
    pub fn open(models: &VerifiedModels, options: Options) -> Result<Self, RuntimeError> {
        let manifest = models.manifest();
        let runtime = Runtime::load(&models.library())?;
        let open = |spec: &NetSpec, outputs: &[&str]| {
            let (net, report) =
                runtime.open(spec, &models.net(spec), spec.threads.unwrap_or(options.threads), options.provider)?;
            Ok::<_, RuntimeError>((net.expect_outputs(spec, outputs)?, report))
        };
        let stages = [&manifest.proposal, &manifest.refine, &manifest.output];
        let (embed, live) = (&manifest.embedder, &manifest.liveness);
        // The two large nets take a thread each, the detector's small ones are loaded here meanwhile.
        let (stages, embed_net, live_net) = thread::scope(|scope| {
            let embed_net = scope.spawn(|| open(&embed.net, &[&embed.output]));
            let live_net = scope.spawn(|| open(&live.net, &[&live.logits]));
            let stages = stages.map(|stage| {
                let landmarks = stage.landmarks.as_deref();
                let outputs: Vec<&str> =
                    [stage.probability.as_str(), &stage.regression].into_iter().chain(landmarks).collect();
                Ok::<_, RuntimeError>((open(&stage.net, &outputs)?, stage.clone()))
            });
            let join = "opening a net does not panic";
            (stages, embed_net.join().expect(join), live_net.join().expect(join))
        });
        let [proposal, refine, output] = stages;
        let ((proposal, refine, output), (embed_net, embed_report), (live_net, live_report)) =
            ((proposal?, refine?, output?), embed_net?, live_net?);
        let mut reports = Vec::with_capacity(6);
        let detector = Detector::new([proposal, refine, output].map(|((net, report), stage)| {
            reports.push(report);
            (net, stage)
        }));
        reports.extend([embed_report, live_report]);
        let mut eyes = None;
        if let Some(spec) = manifest.eyes.as_ref().filter(|_| options.eyes) {
            let (net, report) = open(&spec.net, &[&spec.logits])?;
            eyes = Some(EyesNet::new(net, spec.clone()));
            reports.push(report);
        }
        Ok(Self {
            detector,
            embedder: Embedder::new(embed_net, embed.clone()),
            liveness: LivenessNet::new(live_net, live.clone()),
            eyes,
            options,
            reports,
            luma: Vec::new(),
        })
    }

    /// What really runs each net.
    #[must_use]
    pub fn providers(&self) -> &[ProviderReport] {
        &self.reports
    }

    /// Which templates its probes may be compared with.
    #[must_use]
    pub const fn space(&self) -> &EmbeddingSpaceId {
        self.embedder.space()
    }

    /// What computes its templates.
    #[must_use]
    pub const fn artifact(&self) -> ArtifactId {
        self.embedder.artifact()
    }

    /// The detector alone.
    pub const fn detector(&mut self) -> &mut Detector {
        &mut self.detector
    }

    /// The embedder alone.
    pub const fn embedder(&mut self) -> &mut Embedder {
        &mut self.embedder
    }

    /// All faces of a frame of at least the smallest size of the options, best first.
    ///
    /// # Errors
    /// When a net fails.
    pub fn detect(&mut self, view: &ImageView<'_>) -> Result<Vec<Face>, VisionError> {
        Ok(self.detector.detect(view, self.options.min_face)?)
    }

    /// All faces of an enrolment photo. A photo is taken once and seldom again, so it is looked at harder and harder until a face
    /// shows: faces of a quarter of the shorter side, of a tenth, then with thresholds a person must confirm.
    ///
    /// # Errors
    /// When a net fails.
    pub fn detect_photo(&mut self, view: &ImageView<'_>) -> Result<Vec<Face>, VisionError> {
        let shorter = view.width().min(view.height()) as u32;
        let usual = self.detector.thresholds();
        for (share, thresholds) in [(4, usual), (10, usual), (10, usual.map(|t| t * 0.6))] {
            let faces = self.detector.detect_with(view, (shorter / share).max(20), thresholds, Care::Photo)?;
            if !faces.is_empty() {
                return Ok(faces);
            }
        }
        Ok(Vec::new())
    }

    /// The embedding of `face`.
    ///
    /// # Errors
    /// When the net fails or the face has no extent.
    pub fn embed(&mut self, view: &ImageView<'_>, face: &Face) -> Result<Template, VisionError> {
        self.embedder.align(view, face)?;
        self.embedder.embed_aligned()
    }

    /// The template of `face` in an enrolment photo, see [`Embedder::embed_photo`].
    ///
    /// # Errors
    /// When the net fails or the face has no extent.
    pub fn embed_photo(&mut self, view: &ImageView<'_>, face: &Face) -> Result<Template, VisionError> {
        self.embedder.embed_photo(view, face)
    }

    /// Probability that `face` is live, 0..=1.
    ///
    /// # Errors
    /// When the net fails or the face has no extent.
    pub fn liveness(&mut self, view: &ImageView<'_>, face: &Face) -> Result<f32, VisionError> {
        self.liveness.assess(view, face)
    }

    /// What a probability of [`Self::liveness`] means.
    #[must_use]
    pub const fn liveness_spec(&self) -> &LivenessSpec {
        self.liveness.spec()
    }

    /// How fit `face` is for a comparison. Leaves it aligned: [`Embedder::embed_aligned`] may follow.
    ///
    /// # Errors
    /// When the face has no extent.
    pub fn quality(&mut self, view: &ImageView<'_>, face: &Face) -> Result<Quality, VisionError> {
        self.embedder.align(view, face)?;
        self.embedder.aligned_luma(&mut self.luma);
        Ok(self.options.quality.judge(view, face, &self.luma))
    }

    /// The same of an enrolment photo: also whether the eyes are open, if that net was opened.
    ///
    /// # Errors
    /// When the net fails or the face has no extent.
    pub fn photo_quality(&mut self, view: &ImageView<'_>, face: &Face) -> Result<Quality, VisionError> {
        let quality = self.quality(view, face)?;
        let eyes_open = self.eyes.as_mut().map(|eyes| eyes.open(view, face)).transpose()?;
        Ok(Quality { eyes_open, ..quality })
    }

    /// What [`Quality::eyes_open`] means, where the net for the eyes was opened.
    #[must_use]
    pub fn eyes_spec(&self) -> Option<&EyesSpec> {
        self.eyes.as_ref().map(EyesNet::spec)
    }
}

#[cfg(feature = "sim")]
impl Pipeline {
    /// Those of a door: not the one for the eyes.
    fn nets(&mut self) -> [&mut super::runtime::Net; 5] {
        let [proposal, refine, output] = self.detector.nets();
        [proposal, refine, output, self.embedder.net(), self.liveness.net()]
    }

    /// Keeps what `work` feeds to the nets.
    pub fn record<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (T, super::Tape) {
        self.nets().into_iter().for_each(super::runtime::Net::record);
        let done = work(self);
        (done, super::Tape(self.nets().map(super::runtime::Net::recorded).into()))
    }

    /// Feeds the same to the same nets again, and does nothing else: how long inference alone takes. `net` counts in the order of the
    /// manifest's pipeline: proposal, refine, output, embed, liveness.
    ///
    /// # Errors
    /// When a net fails.
    pub fn replay(&mut self, tape: &super::Tape, net: usize) -> Result<(), VisionError> {
        for (inputs, net) in tape.0.iter().zip(self.nets()).skip(net).take(1) {
            for (shape, input) in inputs {
                net.run(*shape, input)?;
            }
        }
        Ok(())
    }
}
