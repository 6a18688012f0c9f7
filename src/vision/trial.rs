//! One net, run on one provider with so many threads: to be timed, not believed.

use std::path::Path;

use super::{
    Colour, InferenceError, NetSpec, Provider, Runtime, RuntimeError, VerifiedModels, placement::Placement,
    runtime::Net,
};

/// A net in the one way that is tried, and what it is fed.
pub struct Trial {
    net: Net,
    shape: [usize; 4],
    input: Vec<f32>,
}

impl Trial {
    /// Opens `spec`, whose file is `path`, on `provider` and no other.
    ///
    /// # Errors
    /// When the runtime does not load or the net does not run there.
    pub fn open(
        models: &VerifiedModels,
        spec: &NetSpec,
        path: &Path,
        provider: Provider,
        threads: usize,
    ) -> Result<Self, RuntimeError> {
        let spec = NetSpec { fallback: None, ..spec.clone() };
        let (net, _) = Runtime::load(&models.library())?.open(&spec, path, threads, Some(provider))?;
        let place = Placement::new(&spec.input, spec.input.width, spec.input.height, Colour::Rgb);
        // A slope of grey with a grain: no processor is faster on it than on a face.
        let pixel = |at: usize| ((at * 7919 % 97) as f32 + (at % 112) as f32 - spec.input.subtract) * spec.input.scale;
        Ok(Self { net, shape: place.shape(1), input: (0..place.len()).map(pixel).collect() })
    }

    /// Runs it once.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&mut self) -> Result<(), InferenceError> {
        self.net.run(self.shape, &self.input).map(drop)
    }
}
