//! One connection: a task that reads, lets the session act, and sees to what could not be written.
//!
//! Laws: reads use the thread's buffer, so that an idle connection owns none; a frame larger than
//!       that is read into a buffer of its own, once its size is known to be allowed.

mod driver;
mod gate;
mod open;
mod pace;
mod proxy;
mod sink;
mod writing;

pub use open::ClientTls;

use crate::workers::Context;
use broker::Session;
use broker::conn::{Conn, Kind, Transport};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use wire::error::{CloseReason, text};

/// Starts serving an accepted socket on this thread.
pub(crate) fn spawn_tcp(
    socket: std::net::TcpStream,
    tls: Option<Arc<ClientTls>>,
    proxied: bool,
    context: Rc<RefCell<Context>>,
) {
    let Ok(stream) = tokio::net::TcpStream::from_std(socket) else { return };
    let peer = stream.peer_addr().ok();
    if tls.is_none() && !proxied {
        start(sink::Transport::tcp(stream), peer, Transport::Tcp, context);
    } else {
        let door = open::Door { tls, proxied };
        tokio::task::spawn_local(open::open(stream, peer, door, context));
    }
}

/// Starts serving one end of a pipe on this thread.
pub(crate) fn spawn_pipe(pipe: tokio::io::DuplexStream, context: Rc<RefCell<Context>>) {
    start(sink::Transport::layered(Box::new(pipe)), None, Transport::InProcess, context);
}

/// A session for a new connection, entered in the tables, and whether there was room for it.
fn new_session(
    peer: Option<SocketAddr>,
    transport: Transport,
    context: &Rc<RefCell<Context>>,
) -> (Session, bool) {
    let Context { worker, clock, .. } = &mut *context.borrow_mut();
    worker.now = clock.now();
    let id = worker.broker.next_conn_id();
    let max_pending = worker.broker.settings().max_pending;
    let conn = Conn::new(id, Kind::Client, transport, peer, max_pending, worker.now);
    let conn = Arc::new(conn);
    let admitted = worker.broker.register(&conn);
    (Session::new(conn, worker), admitted)
}

/// Opens a session on a stream, greets, and lets the driver run.
fn start(
    stream: sink::Transport,
    peer: Option<SocketAddr>,
    transport: Transport,
    context: Rc<RefCell<Context>>,
) {
    let (mut session, admitted) = new_session(peer, transport, &context);
    session.conn.outbox.lock().attach(stream.sink());
    {
        let Context { worker, .. } = &mut *context.borrow_mut();
        session.greet(worker);
        if !admitted {
            session.refuse(text::MAX_CONNECTIONS, CloseReason::MaxConnectionsExceeded, worker);
        }
        worker.flush_touched();
    }
    tokio::task::spawn_local(driver::Driver::new(stream, session, context));
}
