//! A cable between a browser and a port on this machine that can be cut and mended.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// The cable; gone when dropped.
pub(crate) struct Cable {
    /// Where the browser plugs in, on loopback.
    pub(crate) port: u16,
    whole: Arc<watch::Sender<bool>>,
    _tasks: JoinSet<()>,
}

impl Cable {
    /// Lays a cable to `port`.
    pub(crate) async fn lay(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let near = listener.local_addr().expect("it has one").port();
        let far = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let whole = Arc::new(watch::Sender::new(true));
        let seen = whole.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((mut one, _)) = listener.accept().await {
                let mut whole = seen.subscribe();
                carried.spawn(async move {
                    if !*whole.borrow() {
                        return;
                    }
                    let Ok(mut other) = TcpStream::connect(far).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut one, &mut other) => {}
                        _ = whole.wait_for(|whole| !whole) => {}
                    }
                });
            }
        });
        Self { port: near, whole, _tasks: tasks }
    }

    /// Ends every connection; new ones end at once.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// New connections go through.
    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}
