//! Starting a child that does not outlive this process.
//!
//! A parent that is killed by SIGKILL cannot end its children, so the kernel
//! must. Linux has the parent-death signal for it, which a process can only set
//! on itself; between fork and exec safe Rust runs no code. Hence the launcher:
//! an executable that sets the signal and then becomes Envoy.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use rustix::process::Pid;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// An executable that calls [`exec_bound_to_parent`] with what stands behind
/// its own arguments.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The executable.
    pub program: PathBuf,
    /// Its own arguments, such as the name of a hidden subcommand.
    pub arguments: Vec<OsString>,
}

impl Launcher {
    /// This very executable with a hidden subcommand.
    ///
    /// # Errors
    /// When the operating system does not tell the executable's path.
    pub fn this_executable(subcommand: &str) -> io::Result<Self> {
        // The link resolves even after the file was replaced by a new build.
        let link = Path::new("/proc/self/exe");
        let program = if link.exists() {
            link.to_owned()
        } else {
            std::env::current_exe()?
        };
        Ok(Self {
            program,
            arguments: vec![subcommand.into()],
        })
    }
}

/// Becomes the program in `arguments`, bound to the life of its parent: when
/// that ends, however it ends, the kernel kills this process.
///
/// `arguments` are those that [`crate::Envoy::start`] gives a [`Launcher`] behind its
/// own: the parent's process id, the program, the program's arguments. Returns
/// only if that failed. The binding does not hold for programs that gain
/// privileges when executed (set-user-id, file capabilities); on systems
/// without a parent-death signal it is left out.
pub fn exec_bound_to_parent(arguments: impl IntoIterator<Item = OsString>) -> io::Error {
    let mut arguments = arguments.into_iter();
    let parent = arguments
        .next()
        .and_then(|id| id.to_str()?.parse().ok())
        .and_then(Pid::from_raw);
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected the parent's process id, a program and its arguments",
        );
    };
    if let Err(error) = bind_to(parent) {
        return error;
    }
    std::process::Command::new(program).args(arguments).exec()
}

#[cfg(target_os = "linux")]
fn bind_to(parent: Pid) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    // KILL rather than TERM: nobody is left to insist.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that ended before the line above sends no signal any more; then
    // this process has been handed to another one.
    if getppid() == Some(parent) {
        Ok(())
    } else {
        Err(io::Error::other("the parent has already ended"))
    }
}

#[cfg(not(target_os = "linux"))]
fn bind_to(_parent: Pid) -> io::Result<()> {
    Ok(())
}

/// `program`, through the launcher where that is of use.
pub(crate) fn command(launcher: Option<&Launcher>, program: &Path) -> Command {
    match launcher.filter(|_| cfg!(target_os = "linux")) {
        Some(Launcher {
            program: launcher,
            arguments,
        }) => {
            let mut command = Command::new(launcher);
            command
                .args(arguments)
                .arg(std::process::id().to_string())
                .arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Holds the thread that a child counts as its parent.
///
/// The parent-death signal comes when the *thread* that started the child ends,
/// and threads of a runtime may end while the process goes on. So each child
/// gets a thread that lives exactly as long as this value.
#[derive(Debug)]
pub(crate) struct ParentThread {
    _held: mpsc::Sender<()>,
}

/// Starts `command` from a thread of its own.
pub(crate) async fn spawn(mut command: Command) -> io::Result<(Child, ParentThread)> {
    let runtime = Handle::current();
    let (started, starting) = oneshot::channel();
    let (held, hold) = mpsc::channel();
    thread::Builder::new()
        .name("envoy-parent".to_owned())
        .spawn(move || {
            let _inside = runtime.enter();
            if started.send(command.spawn()).is_ok() {
                // Ends with an error when `ParentThread` is dropped: the signal to go.
                let _ = hold.recv();
            }
        })?;
    let child = starting
        .await
        .map_err(|_| io::Error::other("the thread that starts envoy ended"))??;
    Ok((child, ParentThread { _held: held }))
}
