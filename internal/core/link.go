// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// link is a session of this incarnation with another: two keys, one for each direction, each with a counter for nonce. A frame counts once, and
// none that is older than the last counts at all, so a host can drop frames, and neither double nor re-order them.
type link struct {
	id          handshakeID
	slot        Slot
	serial      uint64
	incarnation Incarnation
	via         Slot // what this host called the other's the last time: it may be one that no slot is known of

	out, in        cipher.AEAD
	sent, received uint64
	heard          uint64      // elapsed at the last frame
	sought         uint64      // when this core began it; 0: the other did
	reading        wire.UnixMs // the other side's, then
	queue          []byte      // items for the next frame
	told           uint64      // elapsed from which on what its host tells of itself is proposed again
	wanted         uint64      // elapsed when this core last asked to be admitted
}

const (
	frameHead = 2 + handshakeIDSize + 8
	frameRoom = MaxPeerData - frameHead - 16 - 8
	maxQueue  = 16 << 20 // bytes for one peer from one step; what is more is dropped, as the network might have done
)

func newLink(n *introduction, id handshakeID, secret []byte, hash [32]byte, initiator bool) *link {
	l := &link{id: id, slot: n.slot, serial: n.serial, incarnation: n.incarnation}
	l.out = newGCM(wire.DeriveKey(secret, wire.DomainInitiator, hash[:]))
	l.in = newGCM(wire.DeriveKey(secret, wire.DomainResponder, hash[:]))
	if !initiator {
		l.out, l.in = l.in, l.out
	}
	clear(secret)
	return l
}

// readingNow returns the other side's time of day, if it went on as this core's clock did; 0 if it is too old.
func (l *link) readingNow(elapsed uint64) wire.UnixMs {
	const tooOld = 10_000
	if l.reading == 0 || elapsed-l.heard > tooOld {
		return 0
	}
	return l.reading + wire.UnixMs(elapsed-l.heard)
}

// put queues an item.
func (l *link) put(kind uint8, body []byte) {
	if len(l.queue)+len(body)+5 > maxQueue || len(body)+5 > frameRoom {
		return
	}
	l.queue = append(l.queue, kind)
	l.queue = binary.BigEndian.AppendUint32(l.queue, uint32(len(body)))
	l.queue = append(l.queue, body...)
}

// frames seals what is queued, in frames of a bounded size.
func (l *link) frames(reading wire.UnixMs, emit func([]byte)) {
	for len(l.queue) > 0 {
		n := 0
		for n < len(l.queue) {
			size := 5 + int(binary.BigEndian.Uint32(l.queue[n+1:]))
			if n+size > frameRoom {
				break
			}
			n += size
		}
		emit(l.frame(reading, l.queue[:n]))
		l.queue = l.queue[n:]
	}
	l.queue = nil
}

func (l *link) frame(reading wire.UnixMs, items []byte) []byte {
	l.sent++
	head := make([]byte, 0, frameHead+8+len(items)+16)
	head = append(append(head, peerFrame, peerVersion), l.id[:]...)
	head = binary.BigEndian.AppendUint64(head, l.sent)
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(items)), uint64(reading))
	plain = append(plain, items...)
	return l.out.Seal(head, nonceOf(l.sent), plain, head)
}

func nonceOf(counter uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), counter)
}

// open returns the items of a frame, if it is the other side's and newer than the last.
func (l *link) open(frame []byte, elapsed uint64) (cryptobyte.String, bool) {
	counter := binary.BigEndian.Uint64(frame[frameHead-8:])
	if counter <= l.received {
		return nil, false
	}
	plain, err := l.in.Open(nil, nonceOf(counter), frame[frameHead:], frame[:frameHead])
	if err != nil || len(plain) < 8 {
		return nil, false
	}
	l.received, l.heard = counter, elapsed
	l.reading = wire.UnixMs(binary.BigEndian.Uint64(plain))
	return plain[8:], true
}
