//! [`Peers`]: which client's connection is next, when more come than there are places.
//!
//! A client that opens very many connections must not keep the others out. As long as there is a place,
//! any connection gets it. When all are taken, those that wait are let in by turns, the client with the
//! fewest places first, and a client that has more than its share of the places loses one to a client
//! that has less. With one client there is nothing to share, and its connections wait.
//!
//! A client is an address, and of IPv6 the network that a machine has. Nothing here does I/O: what a
//! connection is, is the caller's.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use tokio::sync::Notify;

/// Connections that may wait for a place. Of more, the newest of the client with the most is closed.
pub(crate) const MAX_WAITING: usize = 256;

/// The places, and who has them or waits for one.
#[derive(Debug)]
pub(crate) struct Peers<C> {
    places: usize,
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
    is_told: bool,
}

/// A connection that has a place now.
#[derive(Debug)]
pub(crate) struct Entered<C> {
    pub(crate) connection: C,
    pub(crate) place: Place,
    /// Notified when the connection has to make room.
    pub(crate) leave: Arc<Notify>,
}

/// Names a place, for when it is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    peer: IpAddr,
    number: u64,
}

impl<C> Peers<C> {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places,
            taken: 0,
            waiting: 0,
            next_number: 0,
            peers: HashMap::new(),
        }
    }

    /// A connection came. It waits until [`enter`](Self::enter) gives it a place.
    pub(crate) fn arrive(&mut self, address: IpAddr, connection: C) {
        self.peer(peer_of(address)).waiting.push_back(connection);
        self.waiting += 1;
        if self.waiting > MAX_WAITING
            && let Some(peer) = self.peers.values_mut().max_by_key(|peer| peer.waiting.len())
            && peer.waiting.pop_back().is_some()
        {
            self.waiting -= 1;
            self.forget_the_gone();
        }
    }

    /// The next connection that gets a place, if one is free and one waits.
    pub(crate) fn enter(&mut self) -> Option<Entered<C>> {
        if self.taken >= self.places {
            return None;
        }
        let waiting = self.peers.iter_mut().filter(|(_, peer)| !peer.waiting.is_empty());
        let (address, peer) = waiting.min_by_key(|(_, peer)| peer.inside.len())?;
        let connection = peer.waiting.pop_front()?;
        let (number, leave) = (self.next_number, Arc::<Notify>::default());
        peer.inside.push(Inside {
            number,
            leave: Arc::clone(&leave),
            is_told: false,
        });
        self.next_number += 1;
        self.taken += 1;
        self.waiting -= 1;
        Some(Entered {
            connection,
            place: Place {
                peer: *address,
                number,
            },
            leave,
        })
    }

    /// A connection has ended.
    pub(crate) fn leave(&mut self, place: Place) {
        let Some(peer) = self.peers.get_mut(&place.peer) else {
            return;
        };
        let before = peer.inside.len();
        peer.inside.retain(|inside| inside.number != place.number);
        self.taken -= before - peer.inside.len();
        self.forget_the_gone();
    }

    /// Where all places are taken: tells connections beyond their client's share to make room for those
    /// that wait below theirs.
    pub(crate) fn make_room(&mut self) {
        while let Some(inside) = self.one_too_many() {
            inside.is_told = true;
            inside.leave.notify_one();
        }
    }

    /// The newest connection of the client that has the most places, if it has to make room.
    fn one_too_many(&mut self) -> Option<&mut Inside> {
        if self.taken < self.places || self.waiting == 0 {
            return None;
        }
        let share = (self.places / self.peers.len()).max(1);
        let below = |peer: &Peer<C>| share.saturating_sub(peer.inside.len()).min(peer.waiting.len());
        let wanted: usize = self.peers.values().map(below).sum();
        let inside = self.peers.values().flat_map(|peer| &peer.inside);
        let told = inside.filter(|inside| inside.is_told).count();
        if told >= wanted {
            return None;
        }
        let stays = |peer: &Peer<C>| peer.inside.iter().filter(|inside| !inside.is_told).count();
        let largest = self.peers.values_mut().max_by_key(|peer| stays(peer))?;
        if stays(largest) <= share {
            return None;
        }
        largest.inside.iter_mut().rev().find(|inside| !inside.is_told)
    }

    fn peer(&mut self, address: IpAddr) -> &mut Peer<C> {
        self.peers.entry(address).or_insert_with(|| Peer {
            inside: Vec::new(),
            waiting: VecDeque::new(),
        })
    }

    fn forget_the_gone(&mut self) {
        self.peers
            .retain(|_, peer| !(peer.inside.is_empty() && peer.waiting.is_empty()));
    }
}

/// The client of an address: of IPv6 its network of 64 bits, in which one machine may have any address.
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

    /// Which of the connections that came get a place.
    fn entered(peers: &mut Peers<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| peers.enter().map(|entered| entered.connection)).collect()
    }

    fn told(peers: &Peers<&'static str>, number: u8) -> usize {
        let peer = peers.peers.get(&address(number));
        peer.map_or(0, |peer| {
            peer.inside.iter().filter(|inside| inside.is_told).count()
        })
    }

    #[test]
    fn one_client_may_have_all_places_and_then_waits() {
        let mut peers = Peers::new(3);
        for name in ["a", "b", "c", "d"] {
            peers.arrive(address(1), name);
        }
        let first = peers.enter().map(|entered| entered.place);
        assert_eq!(entered(&mut peers), ["b", "c"]);
        peers.make_room();
        assert_eq!(told(&peers, 1), 0);
        if let Some(place) = first {
            peers.leave(place);
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
        peers.make_room();
        peers.make_room();
        assert_eq!(
            told(&peers, 1),
            2,
            "half of the places, however often it is asked"
        );
        let places: Vec<Place> = peers.peers[&address(1)]
            .inside
            .iter()
            .filter(|inside| inside.is_told)
            .map(|inside| Place {
                peer: address(1),
                number: inside.number,
            })
            .collect();
        for place in places {
            peers.leave(place);
        }
        assert_eq!(
            entered(&mut peers),
            ["v", "w"],
            "before the one that waited longer"
        );
        peers.make_room();
        assert_eq!((told(&peers, 1), told(&peers, 2)), (0, 0));
    }

    #[test]
    fn the_client_that_floods_loses_what_waits_too_long() {
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
