// SPDX-License-Identifier: Apache-2.0

package stream

import "encoding/binary"

// decode reads one frame without the length in front. What it returns aliases b.
func decode(b []byte) (Frame, error) {
	r := &reader{rest: b}
	f := r.frame()
	if r.failed || len(r.rest) > 0 || f == nil || !f.valid() {
		return nil, ErrMalformed
	}
	return f, nil
}

func (r *reader) frame() Frame {
	switch r.uint8() {
	case kindCreate:
		return Create{r.vector(), r.vector()}
	case kindLoad:
		return Load{r.vector(), r.vector()}
	case kindLoadEnd:
		return LoadEnd{r.vector()}
	case kindRequest:
		return Request{r.uint64(), r.vector()}
	case kindDurable:
		return Durable{r.uint64()}
	case kindStop:
		return Stop{}
	case kindJoin:
		return Join{r.vector(), r.vector()}
	case kindPeer:
		return Peer{r.uint16(), r.vector()}
	case kindAdmin:
		return Admin{r.uint64(), r.uint8(), r.uint16(), r.uint16(), r.bool()}
	case kindHello:
		return Hello{r.uint16(), r.vector()}
	case kindPersist:
		return r.persist()
	case kindAnswer:
		return Answer{r.uint64(), r.vector()}
	case kindStats:
		return r.stats()
	case kindFatal:
		return Fatal{string(r.vector())}
	case kindBye:
		return Bye{}
	case kindSend:
		return Send{r.uint16(), r.vector()}
	case kindPeers:
		return r.peers()
	case kindLeads:
		return Leads{r.uint16(), r.uint16()}
	case kindTold:
		return Told{r.uint64(), r.vector(), string(r.vector())}
	}
	return nil
}

func (r *reader) persist() Persist {
	p := Persist{Seq: r.uint64()}
	if n := r.count(smallestPair); n > 0 {
		p.Puts = make([]Record, n)
	}
	for i := range p.Puts {
		p.Puts[i] = Record{r.vector(), r.vector()}
	}
	if n := r.count(smallestPair); n > 0 {
		p.Deletes = make([]Range, n)
	}
	for i := range p.Deletes {
		p.Deletes[i] = Range{r.vector(), r.vector()}
	}
	return p
}

func (r *reader) peers() Peers {
	var f Peers
	for range r.count(2 + 4) {
		f.Members = append(f.Members, Member{r.uint16(), r.vector()})
	}
	return f
}

func (r *reader) stats() Stats {
	f := Stats{Slot: r.uint16()}
	copy(f.Incarnation[:], r.take(uint64(len(f.Incarnation))))
	f.Accounts, f.Epoch, f.Serving, f.Founded = r.uint64(), r.uint64(), r.bool(), r.bool()
	for range r.count(1 + 2 + 5*8 + 2*4) {
		p := Partition{Role: r.uint8(), Leader: r.uint16()}
		for _, v := range []*uint64{&p.Term, &p.Applied, &p.Committed, &p.LogEntries, &p.Lag} {
			*v = r.uint64()
		}
		p.Voters, p.Learners = r.slots(), r.slots()
		f.Partitions = append(f.Partitions, p)
	}
	f.Sealer = Sealer{r.uint64(), string(r.vector())}
	f.Unerased, f.ErasedWithin = r.uint64(), r.uint64()
	for range r.count(2 + 8) {
		f.Others = append(f.Others, Unerased{r.uint16(), r.uint64()})
	}
	return f
}

func (r *reader) slots() (slots []uint16) {
	for range r.count(2) {
		slots = append(slots, r.uint16())
	}
	return slots
}

// reader reads fields one after the other and remembers the first failure, after
// which it returns zeros.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.rest)) {
		r.failed = true
		return nil
	}
	// The capacity ends here as well, so that whoever appends to a field cannot
	// write over the next one.
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) number(size uint64) (v uint64) {
	for _, b := range r.take(size) {
		v = v<<8 | uint64(b)
	}
	return v
}

func (r *reader) uint8() byte    { return byte(r.number(1)) }
func (r *reader) uint16() uint16 { return uint16(r.number(2)) }
func (r *reader) uint32() uint32 { return uint32(r.number(4)) }
func (r *reader) uint64() uint64 { return r.number(8) }

// bool accepts 0 and 1 only: there is one encoding.
func (r *reader) bool() bool {
	v := r.uint8()
	r.failed = r.failed || v > 1
	return v == 1
}

func (r *reader) vector() []byte { return r.take(uint64(r.uint32())) }

// smallestPair is the size of the smallest pair of vectors: two lengths and one byte of key.
const smallestPair = 2*4 + 1

// count reads how many elements follow, of a size at least. A count that the rest cannot hold takes no memory.
func (r *reader) count(smallest uint64) int {
	n := uint64(r.uint32())
	if n > uint64(len(r.rest))/smallest {
		r.failed = true
		return 0
	}
	return int(n)
}

// length checks what stands in front of a frame.
func length(header []byte) (int, error) {
	n := uint64(binary.BigEndian.Uint32(header))
	switch {
	case n == 0:
		return 0, ErrMalformed
	case n > MaxFrame:
		return 0, ErrTooLarge
	}
	return int(n), nil
}
