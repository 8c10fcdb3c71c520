//! ONNX Runtime: the shared library that runs the model, loaded once for the whole process.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;
use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider};
use ort::logging::{LogLevel, LoggerFunction};
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::sys::OrtApiBase;

use crate::device::Device;
use crate::error::EmbedError;

/// The library in use: ONNX Runtime allows one, with one environment, in a process.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// The loaded library.
#[derive(Clone)]
pub(crate) struct Runtime {
    path: PathBuf,
    environment: Environment,
    /// Its version, such as `1.31.1`.
    pub(crate) version: String,
}

impl Runtime {
    /// Loads the library, or finds it loaded already.
    pub(crate) fn load(library: &Path) -> Result<Self, EmbedError> {
        let path =
            library.canonicalize().map_err(|_| EmbedError::RuntimeMissing { path: library.to_owned() })?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Some(runtime) if runtime.path != path => {
                Err(EmbedError::RuntimeConflict { loaded: runtime.path.clone(), requested: path })
            }
            Some(runtime) => Ok(runtime.clone()),
            None => Ok(loaded.insert(Self::open(path)?).clone()),
        }
    }

    fn open(path: PathBuf) -> Result<Self, EmbedError> {
        let refuse = |source| EmbedError::RuntimeLoad { path: path.clone(), source };
        let builder = ort::init_from(&path).map_err(refuse)?;
        let version = version(&path).map_err(refuse)?;
        let environment = builder.with_name("wikitok").with_telemetry(false).with_logger(logger()).build()?;
        environment.set_log_level(LogLevel::Warning);
        Ok(Self { path, environment, version })
    }

    /// Options of a session on the device with so many threads; 0 threads is one for each core.
    pub(crate) fn session_builder(
        &self,
        device: Device,
        threads: usize,
    ) -> Result<SessionBuilder, EmbedError> {
        let builder = Session::builder(&self.environment)?
            .with_intra_threads(threads)
            .map_err(ort::Error::from)?
            // A thread that spins while it waits takes the core from the other workers on the machine.
            .with_intra_op_spinning(false)
            .map_err(ort::Error::from)?;
        match device {
            // What `auto` is has been chosen before.
            Device::Cpu | Device::Auto => Ok(builder),
            Device::Cuda(index) => on_cuda(builder, index),
        }
    }
}

/// Asks the library, already loaded by ort, for its version, which ort itself does not tell.
#[allow(unsafe_code, reason = "ONNX Runtime has a C interface")]
fn version(path: &Path) -> Result<String, LoadDynamicError> {
    let dlopen = |error| LoadDynamicError::Dlopen { error, path: path.to_owned() };
    // SAFETY: ort has loaded this very file, which makes this another handle of it and runs no code, and
    // has called `OrtGetApiBase` with this signature. The base and the version are static in the library,
    // and the version is copied before the handle is closed.
    let version = unsafe {
        let library = Library::new(path).map_err(dlopen)?;
        let base = library.get::<unsafe extern "C" fn() -> *const OrtApiBase>(c"OrtGetApiBase");
        let base = base.map_err(|_| LoadDynamicError::MissingApi { path: path.to_owned() })?();
        CStr::from_ptr(((*base).GetVersionString)()).to_owned()
    };
    version.into_string().map_err(|_| LoadDynamicError::InvalidVersionString)
}

/// Sends the library's own messages to our log; by default it writes them to stderr.
fn logger() -> LoggerFunction {
    Arc::new(|level, _category, _id, place, message| match level {
        LogLevel::Fatal | LogLevel::Error => tracing::error!(target: "onnxruntime", place, "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", place, "{message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::debug!(target: "onnxruntime", place, "{message}"),
    })
}

/// Asks for the GPU, and for an error where ort would fall back to the processor without a word.
fn on_cuda(builder: SessionBuilder, index: u32) -> Result<SessionBuilder, EmbedError> {
    let device = Device::Cuda(index);
    if !CUDA::is_available()? {
        let reason = "the ONNX Runtime library was built without CUDA".to_owned();
        return Err(EmbedError::DeviceUnavailable { device, reason });
    }
    // TF32 keeps 10 bits of the mantissa, too few for vectors within 1e-5 of the reference.
    let provider = CUDA::default().with_device_id(index as i32).with_tf32(false).build().error_on_failure();
    builder.with_execution_providers([provider]).map_err(|error| unavailable(device, &error))
}

/// Asks for an error where a step of the network cannot run on the GPU.
pub(crate) fn all_on_the_device(
    device: Device,
    builder: SessionBuilder,
) -> Result<SessionBuilder, EmbedError> {
    match device {
        Device::Cpu | Device::Auto => Ok(builder),
        Device::Cuda(_) => builder.with_disable_cpu_fallback().map_err(|error| unavailable(device, &error)),
    }
}

fn unavailable(device: Device, error: &ort::Error<SessionBuilder>) -> EmbedError {
    EmbedError::DeviceUnavailable { device, reason: error.message().to_owned() }
}
