// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/binary"
	"time"
)

// A Lock tells other devices that somebody is writing. It is a courtesy: nothing that must be safe rests on it.
type Lock struct {
	Device    ID
	Host      string
	PID       uint32
	Operation string
	Time      time.Time
}

// Encode returns the lock's canonical encoding.
func (l *Lock) Encode() []byte {
	b := append([]byte(nil), l.Device[:]...)
	b = appendText(b, l.Host, MaxHost)
	b = binary.AppendUvarint(b, uint64(l.PID))
	b = appendText(b, l.Operation, MaxLabel)
	return appendTime(b, l.Time)
}

// DecodeLock reads what Encode wrote. Errors wrap ErrDamaged.
func DecodeLock(b []byte) (*Lock, error) {
	d := decoder{b: b}
	l := new(Lock)
	d.read(l.Device[:])
	l.Host = d.string(MaxHost)
	l.PID = uint32(d.uvarint(1<<32 - 1))
	l.Operation = d.string(MaxLabel)
	l.Time = d.time()
	return l, d.end()
}
