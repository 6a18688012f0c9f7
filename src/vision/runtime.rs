//! ONNX Runtime: loaded once from the verified file, one session a net, on the provider the manifest names or its declared fallback.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use ort::{
    environment::Environment,
    ep,
    logging::LogLevel,
    session::{Session, SessionOutputs},
    value::TensorRef,
};

use super::{NetSpec, Provider};

/// Why there is no inference.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The library does not load.
    #[error("cannot load ONNX Runtime from {}", path.display())]
    Load {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: ort::LoadDynamicError,
    },
    /// The library loads but does not start.
    #[error("cannot start ONNX Runtime")]
    Start(#[source] ort::Error),
    /// A process holds one runtime for its whole life.
    #[error("ONNX Runtime is already loaded from {}, cannot load it from {} too", loaded.display(), wanted.display())]
    Another {
        /// Which file is loaded.
        loaded: PathBuf,
        /// Which was asked for.
        wanted: PathBuf,
    },
    /// No provider that may run the net does.
    #[error("net {net} runs on none of its providers ({cause})")]
    Session {
        /// The net's name in the manifest.
        net: String,
        /// What the runtime logged: its error only names the provider.
        cause: String,
        /// What the last provider tried said.
        source: ort::Error,
    },
    /// The net has not the inputs and outputs of the manifest.
    #[error("net {net} has no {what} named {name}, it has {has}")]
    Interface {
        /// The net's name in the manifest.
        net: String,
        /// `input` or `output`.
        what: &'static str,
        /// The missing one.
        name: String,
        /// Those it has.
        has: String,
    },
}

/// A net failed on a picture.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The runtime said so.
    #[error("net {net} failed")]
    Run {
        /// The net's name in the manifest.
        net: String,
        /// The underlying error.
        source: ort::Error,
    },
    /// The output is not what the manifest's part needs.
    #[error("net {net}: output {output} has shape {shape:?}, expected is {expected}")]
    Shape {
        /// The net's name in the manifest.
        net: String,
        /// The output's name.
        output: String,
        /// The shape that came.
        shape: Vec<i64>,
        /// What should have come.
        expected: String,
    },
}

/// What really runs a net.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderReport {
    /// The net's name in the manifest.
    pub net: String,
    /// What the manifest (or the options) asked for.
    pub asked: Provider,
    /// What runs it.
    pub used: Provider,
    /// Why it is not what was asked for.
    pub why: Option<String>,
}

static LOADED: OnceLock<(PathBuf, Environment)> = OnceLock::new();
/// What the runtime last complained about: the only place where it says why a provider does not load.
static COMPLAINT: Mutex<String> = Mutex::new(String::new());

/// The loaded runtime. A process has one, for its whole life.
#[derive(Clone)]
pub struct Runtime(Environment);

impl Runtime {
    /// Loads `library`, or hands out the one already loaded from there.
    ///
    /// # Errors
    /// When it does not load or start, or another one is loaded.
    pub fn load(library: &Path) -> Result<Self, RuntimeError> {
        static LOADING: Mutex<()> = Mutex::new(());
        // One file may be reached by several paths.
        let library = &library.canonicalize().unwrap_or_else(|_| library.to_owned());
        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((loaded, environment)) = LOADED.get() {
            if loaded != library {
                return Err(RuntimeError::Another { loaded: loaded.clone(), wanted: library.to_owned() });
            }
            return Ok(Self(environment.clone()));
        }
        let environment = ort::init_from(library)
            .map_err(|source| RuntimeError::Load { path: library.to_owned(), source })?
            .with_name("examgate")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(RuntimeError::Start)?;
        environment.set_log_level(LogLevel::Warning);
        let (_, environment) = LOADED.get_or_init(|| (library.to_owned(), environment));
        Ok(Self(environment.clone()))
    }

    /// Opens `path` as `spec` says, with `threads` threads; `instead` overrules the manifest's provider.
    pub(crate) fn open(
        &self,
        spec: &NetSpec,
        path: &Path,
        threads: usize,
        instead: Option<Provider>,
    ) -> Result<(Net, ProviderReport), RuntimeError> {
        let asked = instead.unwrap_or(spec.provider);
        let report = |used, why| ProviderReport { net: spec.name.clone(), asked, used, why };
        let (session, report) = match self.session(path, threads, asked) {
            Ok(session) => (session, report(asked, None)),
            Err(error) => match spec.fallback.filter(|fallback| *fallback != asked) {
                None => return Err(failed(spec, error)),
                Some(fallback) => {
                    let why = format!("{error} ({})", complaint());
                    tracing::warn!(net = spec.name, %asked, %fallback, why, "the provider failed, its declared fallback runs the net");
                    let session = self.session(path, threads, fallback).map_err(|error| failed(spec, error))?;
                    (session, report(fallback, Some(why)))
                }
            },
        };
        let has = session.inputs().iter().map(|input| input.name()).collect::<Vec<_>>();
        if has != [spec.input.name.as_str()] {
            return Err(interface(spec, "input", &spec.input.name, &has));
        }
        Ok((
            Net {
                name: spec.name.clone(),
                session,
                #[cfg(feature = "sim")]
                tape: None,
            },
            report,
        ))
    }

    fn session(&self, path: &Path, threads: usize, provider: Provider) -> Result<Session, ort::Error> {
        let mut builder = Session::builder(&self.0)?
            .with_log_level(LogLevel::Warning)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?;
        match provider {
            Provider::Cpu => {}
            Provider::Openvino => {
                // Precision FP32: where the processor has bfloat16, OpenVINO would otherwise round to it.
                let openvino =
                    ep::OpenVINO::default().with_device_type("CPU").with_num_threads(threads).with_precision("FP32");
                builder = builder.with_execution_providers([openvino.build().error_on_failure()])?;
            }
        }
        builder.commit_from_file(path)
    }
}

fn failed(spec: &NetSpec, source: ort::Error) -> RuntimeError {
    RuntimeError::Session { net: spec.name.clone(), cause: complaint(), source }
}

fn interface(spec: &NetSpec, what: &'static str, name: &str, has: &[&str]) -> RuntimeError {
    RuntimeError::Interface { net: spec.name.clone(), what, name: name.to_owned(), has: has.join(", ") }
}

fn complaint() -> String {
    COMPLAINT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn log(level: LogLevel, category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Verbose | LogLevel::Info => tracing::trace!(target: "onnxruntime", category, "{message}"),
        LogLevel::Warning => tracing::debug!(target: "onnxruntime", category, "{message}"),
        LogLevel::Error | LogLevel::Fatal => {
            message.clone_into(&mut COMPLAINT.lock().unwrap_or_else(PoisonError::into_inner));
            tracing::error!(target: "onnxruntime", category, "{message}");
        }
    }
}

/// One net, ready to run.
pub(crate) struct Net {
    name: String,
    session: Session,
    #[cfg(feature = "sim")]
    tape: Option<Vec<([usize; 4], Vec<f32>)>>,
}

impl Net {
    /// Checks that the net has these outputs.
    pub(crate) fn expect_outputs(self, spec: &NetSpec, names: &[&str]) -> Result<Self, RuntimeError> {
        let has = self.session.outputs().iter().map(|output| output.name()).collect::<Vec<_>>();
        match names.iter().find(|name| !has.contains(name)) {
            Some(missing) => Err(interface(spec, "output", missing, &has)),
            None => Ok(self),
        }
    }

    /// Runs the net on `input`, read in place.
    pub(crate) fn run(&mut self, shape: [usize; 4], input: &[f32]) -> Result<Outputs<'_>, InferenceError> {
        #[cfg(feature = "sim")]
        if let Some(tape) = &mut self.tape {
            tape.push((shape, input.to_vec()));
        }
        let failed = |source| InferenceError::Run { net: self.name.clone(), source };
        let tensor = TensorRef::from_array_view((shape, input)).map_err(failed)?;
        let values = self.session.run(ort::inputs![tensor]).map_err(failed)?;
        Ok(Outputs { net: &self.name, values })
    }
}

/// What a net said.
pub(crate) struct Outputs<'a> {
    net: &'a str,
    values: SessionOutputs<'a>,
}

impl Outputs<'_> {
    /// The output `name`, if `fits` its shape.
    pub(crate) fn get(
        &self,
        name: &str,
        expected: &str,
        fits: impl FnOnce(&[i64]) -> bool,
    ) -> Result<(&[i64], &[f32]), InferenceError> {
        let shape_error = |shape: &[i64]| InferenceError::Shape {
            net: self.net.to_owned(),
            output: name.to_owned(),
            shape: shape.to_vec(),
            expected: expected.to_owned(),
        };
        let value = self.values.get(name).ok_or_else(|| shape_error(&[]))?;
        let (shape, data) = value
            .try_extract_tensor::<f32>()
            .map_err(|source| InferenceError::Run { net: self.net.to_owned(), source })?;
        if fits(shape) { Ok((shape, data)) } else { Err(shape_error(shape)) }
    }
}

/// What was fed to the nets, to be fed to them again bare: how long inference alone takes.
#[cfg(feature = "sim")]
#[derive(Debug, Default)]
pub struct Tape(pub(crate) Vec<Vec<([usize; 4], Vec<f32>)>>);

#[cfg(feature = "sim")]
impl Net {
    /// Starts to keep a copy of all inputs.
    pub(crate) fn record(&mut self) {
        self.tape = Some(Vec::new());
    }

    /// Stops, and hands out the copies.
    pub(crate) fn recorded(&mut self) -> Vec<([usize; 4], Vec<f32>)> {
        self.tape.take().unwrap_or_default()
    }
}
