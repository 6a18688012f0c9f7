//! A network cable between a client and a server on loopback, which a test can cut, mend, or make pass bytes one way only.
//!
//! It passes bytes and reads none of them: TLS goes through as it is.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// What gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    /// Everything.
    Everything,
    /// What the server sends. What the client sends is held back.
    ToClient,
    /// Nothing: there are no connections.
    Nothing,
}

#[derive(Debug)]
struct State {
    passes: Passes,
    /// How often the cable was cut. A connection ends with the next cut, and what is held back for it is dropped.
    cuts: u64,
    /// Both ends of every connection since the last cut.
    ends: Vec<TcpStream>,
    is_dropped: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until bytes of a connection that was made after `cuts` cuts may pass; `false` if the connection has been cut since.
    fn may_pass(&self, to_client: bool, cuts: u64) -> bool {
        let waits = |state: &mut State| {
            state.cuts == cuts && state.passes == Passes::ToClient && !to_client && !state.is_dropped
        };
        let state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        state.cuts == cuts && !state.is_dropped
    }

    fn set(&self, passes: Passes, is_dropped: bool) {
        let mut state = self.lock();
        state.passes = passes;
        state.is_dropped = is_dropped;
        if passes == Passes::Nothing {
            state.cuts += 1;
            for end in state.ends.drain(..) {
                // One that has ended by itself is as good.
                let _ = end.shutdown(Shutdown::Both);
            }
        }
        self.changed.notify_all();
    }
}

/// The cable. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Cable {
    port: u16,
    shared: Arc<Shared>,
}

impl Cable {
    /// A cable to the port `server` of loopback. Nobody needs to listen there yet.
    ///
    /// # Errors
    /// When there is no free port or no thread.
    pub fn to(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let state = State { passes: Passes::Everything, cuts: 0, ends: Vec::new(), is_dropped: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let own = Arc::clone(&shared);
        thread::Builder::new().name("cable".into()).spawn(move || {
            for client in listener.incoming() {
                if own.lock().is_dropped {
                    return;
                }
                // A connection that cannot be passed on is closed, as by a server that is not there.
                let _ = client.and_then(|client| join(client, server, &own));
            }
        })?;
        Ok(Self { port, shared })
    }

    /// The port for the client.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection, drops what was held back, and closes new connections at once.
    pub fn cut(&self) {
        self.shared.set(Passes::Nothing, false);
    }

    /// Lets everything pass from now on, what was held back first.
    pub fn mend(&self) {
        self.shared.set(Passes::Everything, false);
    }

    /// Holds back what the client sends from now on. What the server sends still reaches it, and no connection ends.
    pub fn hold_back(&self) {
        self.shared.set(Passes::ToClient, false);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.shared.set(Passes::Nothing, true);
        // Wakes the thread that listens.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// Connects `client` on to the server, unless the cable is cut.
fn join(client: TcpStream, server: u16, shared: &Arc<Shared>) -> io::Result<()> {
    let mut state = shared.lock();
    if state.passes == Passes::Nothing {
        return Ok(());
    }
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    for end in [&client, &server] {
        end.set_nodelay(true)?;
        let end = end.try_clone()?;
        state.ends.push(end);
    }
    let cuts = state.cuts;
    for (from, to, to_client) in [(client.try_clone()?, server.try_clone()?, false), (server, client, true)] {
        let shared = Arc::clone(shared);
        thread::Builder::new().name("cable".into()).spawn(move || pass(from, to, to_client, cuts, &shared))?;
    }
    Ok(())
}

/// Passes bytes one way until either end or the cable ends the connection.
fn pass(mut from: TcpStream, mut to: TcpStream, to_client: bool, cuts: u64, shared: &Shared) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if !shared.may_pass(to_client, cuts) || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    for end in [from, to] {
        let _ = end.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    /// Longer than anything here takes.
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

    /// A server that says `hello` to everybody, and tells what it reads; an end of a connection is told as nothing.
    fn server() -> (u16, mpsc::Receiver<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (mut client, tell) = (client, tell.clone());
                client.write_all(b"hello").expect("it listens");
                thread::spawn(move || {
                    let mut bytes = [0; 64];
                    loop {
                        let read = client.read(&mut bytes).unwrap_or(0);
                        if tell.send(bytes[..read].to_vec()).is_err() || read == 0 {
                            return;
                        }
                    }
                });
            }
        });
        (port, told)
    }

    fn client(cable: &Cable) -> TcpStream {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, cable.port())).expect("it listens");
        client.set_read_timeout(PATIENCE).expect("a limit");
        let mut hello = [0; 5];
        client.read_exact(&mut hello).expect("passed on");
        assert_eq!(&hello, b"hello");
        client
    }

    #[test]
    fn what_is_held_back_goes_on_when_it_is_mended_and_is_gone_when_it_is_cut() {
        let (port, told) = server();
        let heard = || told.recv_timeout(PATIENCE.expect("set")).expect("in time");
        let cable = Cable::to(port).expect("a cable");
        let mut one = client(&cable);
        one.write_all(b"1").expect("taken");
        assert_eq!(heard(), b"1");
        cable.hold_back();
        one.write_all(b"2").expect("taken");
        // Also a connection that begins now gets what the server says.
        let mut two = client(&cable);
        two.write_all(b"3").expect("taken");
        assert!(told.try_recv().is_err(), "held back");
        cable.mend();
        let mut both = [heard(), heard()];
        both.sort();
        assert_eq!(both, [b"2", b"3"]);
        cable.hold_back();
        one.write_all(b"4").expect("taken");
        cable.cut();
        assert_eq!([heard(), heard()], [b"", b""], "both connections have ended, and what was held back never came");
        assert_eq!(one.read(&mut [0; 8]).unwrap_or(0), 0, "the client sees the end");
        let mut refused = TcpStream::connect((Ipv4Addr::LOCALHOST, cable.port())).expect("it listens");
        refused.set_read_timeout(PATIENCE).expect("a limit");
        assert_eq!(refused.read(&mut [0; 8]).unwrap_or(0), 0, "closed at once");
        cable.mend();
        client(&cable).write_all(b"5").expect("taken");
        assert_eq!(heard(), b"5");
    }
}
