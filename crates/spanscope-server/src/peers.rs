//! [`Peers`]: chooses whose connection is next when there are more connections than slots.
//!
//! A client that opens very many connections must not lock the others out. While connections are
//! free, any client gets one. When all are in use, waiting clients take turns, the client with the
//! fewest connections first, and a client with more than its share loses one to a client with less.
//!
//! Behind a proxy all clients have one address, and so do a program that leaks its connections and
//! the health check on its machine. So a waiting client loses its connections without an
//! open request: those that are idle longest, and none that was used in the last [`IDLE_TIME`].
//!
//! A client is an address, and for IPv6 the network of one machine. Nothing here does I/O: the
//! caller owns the connections.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::activity::Activity;

/// Connections that may wait for a slot. Of more, the newest of the client with the most is
/// closed.
pub(crate) const MAX_WAITING: usize = 256;

/// A connection without a request for this long may be closed for another one. A busy client keeps
/// its connection, and one that is just sending its next request is not cut off.
pub(crate) const IDLE_TIME: Duration = Duration::from_millis(250);

/// The connections in use, and the waiting clients.
#[derive(Debug)]
pub(crate) struct Peers<C> {
    slots: usize,
    taken: usize,
    waiting: usize,
    next_number: u64,
    peers: HashMap<IpAddr, Peer<C>>,
}

#[derive(Debug)]
struct Peer<C> {
    inside: Vec<Inside>,
    waiting: VecDeque<C>,
}

#[derive(Debug)]
struct Inside {
    number: u64,
    leave: Arc<Notify>,
    activity: Activity,
    is_notified: bool,
}

impl Inside {
    fn ask_to_leave(&mut self) {
        self.is_notified = true;
        self.leave.notify_one();
    }

    /// Returns since when it is idle, if that is long enough to close it for another one.
    fn idle_since(&self, now: Instant) -> Option<Instant> {
        let since = self.activity.idle_since().filter(|_| !self.is_notified)?;
        (now.saturating_duration_since(since) >= IDLE_TIME).then_some(since)
    }
}

/// A connection that has been given a slot.
#[derive(Debug)]
pub(crate) struct Entered<C> {
    pub(crate) connection: C,
    pub(crate) slot: Slot,
    /// Notified when the connection has to make room.
    pub(crate) leave: Arc<Notify>,
    /// Its open requests.
    pub(crate) activity: Activity,
}

/// Identifies a connection's slot, to release it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    peer: IpAddr,
    number: u64,
}

impl<C> Peers<C> {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots,
            taken: 0,
            waiting: 0,
            next_number: 0,
            peers: HashMap::new(),
        }
    }

    /// Registers a new connection. It waits until [`enter`](Self::enter) admits it.
    pub(crate) fn arrive(&mut self, address: IpAddr, connection: C) {
        self.peer(peer_of(address)).waiting.push_back(connection);
        self.waiting += 1;
        if self.waiting > MAX_WAITING
            && let Some(peer) = self.peers.values_mut().max_by_key(|peer| peer.waiting.len())
            && peer.waiting.pop_back().is_some()
        {
            self.waiting -= 1;
            self.remove_empty_peers();
        }
    }

    /// The next connection that gets a slot, if one is free and one waits.
    pub(crate) fn enter(&mut self) -> Option<Entered<C>> {
        if self.taken >= self.slots {
            return None;
        }
        let waiting = self.peers.iter_mut().filter(|(_, peer)| !peer.waiting.is_empty());
        let (address, peer) = waiting.min_by_key(|(_, peer)| peer.inside.len())?;
        let connection = peer.waiting.pop_front()?;
        let (number, leave) = (self.next_number, Arc::<Notify>::default());
        let activity = Activity::new();
        peer.inside.push(Inside {
            number,
            leave: Arc::clone(&leave),
            activity: activity.clone(),
            is_notified: false,
        });
        self.next_number += 1;
        self.taken += 1;
        self.waiting -= 1;
        Some(Entered {
            connection,
            slot: Slot {
                peer: *address,
                number,
            },
            leave,
            activity,
        })
    }

    /// Returns whether connections wait because all slots are in use.
    pub(crate) fn is_full(&self) -> bool {
        self.taken >= self.slots && self.waiting > 0
    }

    /// Frees the slot of a connection that has ended.
    pub(crate) fn leave(&mut self, slot: Slot) {
        let Some(peer) = self.peers.get_mut(&slot.peer) else {
            return;
        };
        let before = peer.inside.len();
        peer.inside.retain(|inside| inside.number != slot.number);
        self.taken -= before - peer.inside.len();
        self.remove_empty_peers();
    }

    /// If all slots are in use: asks connections beyond their client's share to make room for
    /// waiting clients below theirs, and idle ones to make room for waiting ones of their client.
    pub(crate) fn make_room(&mut self, now: Instant) {
        if !self.is_full() {
            return;
        }
        while let Some(inside) = self.next_to_close(now) {
            inside.ask_to_leave();
        }
        for peer in self.peers.values_mut() {
            let notified = peer.inside.iter().filter(|inside| inside.is_notified).count();
            let wanted = peer.waiting.len().saturating_sub(notified);
            if wanted == 0 {
                continue;
            }
            let idle = peer.inside.iter_mut();
            let mut idle: Vec<_> = idle
                .filter_map(|inside| Some((inside.idle_since(now)?, inside)))
                .collect();
            idle.sort_by_key(|(since, _)| *since);
            idle.into_iter()
                .take(wanted)
                .for_each(|(_, inside)| inside.ask_to_leave());
        }
    }

    /// A connection of the client that has the most slots, if it has to make room: the one that is
    /// idle longest, else the newest.
    fn next_to_close(&mut self, now: Instant) -> Option<&mut Inside> {
        let share = (self.slots / self.peers.len()).max(1);
        let below = |peer: &Peer<C>| share.saturating_sub(peer.inside.len()).min(peer.waiting.len());
        let wanted: usize = self.peers.values().map(below).sum();
        let inside = self.peers.values().flat_map(|peer| &peer.inside);
        let notified = inside.filter(|inside| inside.is_notified).count();
        if notified >= wanted {
            return None;
        }
        let stays = |peer: &Peer<C>| peer.inside.iter().filter(|inside| !inside.is_notified).count();
        let largest = self.peers.values_mut().max_by_key(|peer| stays(peer))?;
        if stays(largest) <= share {
            return None;
        }
        let idle = largest
            .inside
            .iter()
            .enumerate()
            .filter_map(|(at, inside)| Some((inside.idle_since(now)?, at)))
            .min();
        match idle {
            Some((_, at)) => largest.inside.get_mut(at),
            None => largest.inside.iter_mut().rev().find(|inside| !inside.is_notified),
        }
    }

    fn peer(&mut self, address: IpAddr) -> &mut Peer<C> {
        self.peers.entry(address).or_insert_with(|| Peer {
            inside: Vec::new(),
            waiting: VecDeque::new(),
        })
    }

    fn remove_empty_peers(&mut self) {
        self.peers
            .retain(|_, peer| !(peer.inside.is_empty() && peer.waiting.is_empty()));
    }
}

/// Returns the client of an address. For IPv6 it is the network of 64 bits, in which one machine
/// may have any address.
fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let mut segments = address.segments();
            segments[4..].fill(0);
            Ipv6Addr::from(segments).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, number).into()
    }

    /// Returns which of the new connections are admitted.
    fn entered(peers: &mut Peers<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| peers.enter().map(|entered| entered.connection)).collect()
    }

    fn notified(peers: &Peers<&'static str>, number: u8) -> usize {
        let peer = peers.peers.get(&address(number));
        peer.map_or(0, |peer| {
            peer.inside.iter().filter(|inside| inside.is_notified).count()
        })
    }

    #[test]
    fn a_client_that_waits_loses_its_own_idle_connections_and_no_others() {
        let mut peers = Peers::new(4);
        for name in ["a", "b", "c"] {
            peers.arrive(address(1), name);
        }
        peers.arrive(address(2), "z");
        let inside: Vec<_> = std::iter::from_fn(|| peers.enter()).collect();
        let of = |name| {
            inside
                .iter()
                .find(|entered| entered.connection == name)
                .expect("inside")
        };
        let open = of("a").activity.begin();
        drop(of("b").activity.begin());
        let later = Instant::now() + IDLE_TIME;
        peers.make_room(later);
        assert_eq!((notified(&peers, 1), notified(&peers, 2)), (0, 0), "none waits");
        peers.arrive(address(1), "d");
        peers.make_room(Instant::now());
        assert_eq!(notified(&peers, 1), 0, "all were used a moment ago");
        peers.make_room(later);
        peers.make_room(later);
        assert_eq!((notified(&peers, 1), notified(&peers, 2)), (1, 0));
        let is_notified = |peers: &Peers<_>, name| {
            let number = of(name).slot.number;
            let inside = &peers.peers[&address(1)].inside;
            inside
                .iter()
                .any(|inside| inside.number == number && inside.is_notified)
        };
        assert!(is_notified(&peers, "c"), "it never asked, so it is idle longest");
        for name in ["e", "f", "g"] {
            peers.arrive(address(1), name);
        }
        peers.make_room(later);
        assert!(
            is_notified(&peers, "b") && !is_notified(&peers, "a"),
            "one has a request open"
        );
        drop(open);
        peers.make_room(Instant::now() + IDLE_TIME);
        assert!(is_notified(&peers, "a"));
        assert_eq!(notified(&peers, 2), 0);
    }

    #[test]
    fn one_client_may_have_all_slots_and_then_waits() {
        let mut peers = Peers::new(3);
        for name in ["a", "b", "c", "d"] {
            peers.arrive(address(1), name);
        }
        let first = peers.enter().map(|entered| entered.slot);
        assert_eq!(entered(&mut peers), ["b", "c"]);
        peers.make_room(Instant::now());
        assert_eq!(notified(&peers, 1), 0);
        if let Some(slot) = first {
            peers.leave(slot);
        }
        assert_eq!(entered(&mut peers), ["d"]);
    }

    #[test]
    fn another_client_gets_its_share_and_no_more() {
        let mut peers = Peers::new(4);
        for name in ["a", "b", "c", "d", "e"] {
            peers.arrive(address(1), name);
        }
        assert_eq!(entered(&mut peers).len(), 4);
        for name in ["v", "w", "x", "y", "z"] {
            peers.arrive(address(2), name);
        }
        peers.make_room(Instant::now());
        peers.make_room(Instant::now());
        assert_eq!(
            notified(&peers, 1),
            2,
            "half of the slots, however often it is asked"
        );
        let slots: Vec<Slot> = peers.peers[&address(1)]
            .inside
            .iter()
            .filter(|inside| inside.is_notified)
            .map(|inside| Slot {
                peer: address(1),
                number: inside.number,
            })
            .collect();
        for slot in slots {
            peers.leave(slot);
        }
        assert_eq!(
            entered(&mut peers),
            ["v", "w"],
            "before the one that waited longer"
        );
        peers.make_room(Instant::now());
        assert_eq!((notified(&peers, 1), notified(&peers, 2)), (0, 0));
    }

    #[test]
    fn the_client_that_floods_loses_connections_that_wait_too_long() {
        let mut peers = Peers::new(1);
        peers.arrive(address(1), "inside");
        assert_eq!(entered(&mut peers).len(), 1);
        peers.arrive(address(2), "patient");
        for _ in 0..MAX_WAITING * 2 {
            peers.arrive(address(1), "flood");
        }
        assert_eq!(peers.waiting, MAX_WAITING);
        assert_eq!(peers.peers[&address(2)].waiting.len(), 1);
    }

    #[test]
    fn a_machine_is_one_client_whatever_address_it_takes() {
        let peer = |text: &str| text.parse().map(peer_of);
        assert_eq!(peer("2001:db8::1:2:3:4"), peer("2001:db8::5"));
        assert_ne!(peer("2001:db8:0:1::1"), peer("2001:db8::1"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
        assert_ne!(peer("::1"), peer("::2"));
    }
}
