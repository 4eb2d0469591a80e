// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"errors"
	"net"
	"unicode/utf8"
)

// Info is how a node is reached: what hosts tell of themselves by way of the cores.
type Info struct {
	Address     string // host and port, at most 255 bytes
	Fingerprint Fingerprint
}

const (
	infoV1     = 1
	maxAddress = 255
)

var errInfo = errors.New("link: what a host tells of itself cannot be read")

// Check tells whether an address can be dialled.
func (i *Info) Check() error {
	host, port, err := net.SplitHostPort(i.Address)
	if err != nil || host == "" || port == "" || len(i.Address) > maxAddress || !utf8.ValidString(i.Address) {
		return errors.New("link: an address is a host and a port, such as vault-1.example:7440")
	}
	return nil
}

// Append appends the encoding: u8 1 ‖ u8 length ‖ address ‖ fingerprint.
func (i *Info) Append(to []byte) []byte {
	to = append(to, infoV1, byte(len(i.Address)))
	return append(append(to, i.Address...), i.Fingerprint[:]...)
}

// ParseInfo decodes what Append gave.
func ParseInfo(encoded []byte) (i Info, err error) {
	if len(encoded) < 2 || encoded[0] != infoV1 || len(encoded) != 2+int(encoded[1])+len(i.Fingerprint) {
		return i, errInfo
	}
	n := 2 + int(encoded[1])
	i.Address = string(encoded[2:n])
	copy(i.Fingerprint[:], encoded[n:])
	if i.Check() != nil {
		return i, errInfo
	}
	return i, nil
}

// A Node is a slot of the fleet and how it is reached.
type Node struct {
	Slot uint16
	Info Info
}

// Table is what a gateway is told: the nodes, and which slot leads each partition, 0 where none is known to.
type Table struct {
	Nodes   []Node
	Leaders []uint16
}

const (
	maxNodes      = 256
	maxPartitions = 256
)

func (t *Table) append(to []byte) []byte {
	to = binary.BigEndian.AppendUint16(to, uint16(len(t.Nodes)))
	for _, n := range t.Nodes {
		info := n.Info.Append(nil)
		to = binary.BigEndian.AppendUint16(to, n.Slot)
		to = append(binary.BigEndian.AppendUint16(to, uint16(len(info))), info...)
	}
	to = binary.BigEndian.AppendUint16(to, uint16(len(t.Leaders)))
	for _, l := range t.Leaders {
		to = binary.BigEndian.AppendUint16(to, l)
	}
	return to
}

func parseTable(b []byte) (*Table, error) {
	t, ok := new(Table), true
	take := func(n int) []byte {
		if ok = ok && n <= len(b); !ok {
			return make([]byte, 2) // a zero, read once more and then given up
		}
		taken := b[:n]
		b = b[n:]
		return taken
	}
	number := func() int { return int(binary.BigEndian.Uint16(take(2))) }
	nodes := number()
	for ; ok && nodes > 0 && len(t.Nodes) < maxNodes; nodes-- {
		n := Node{Slot: uint16(number())}
		var err error
		n.Info, err = ParseInfo(take(number()))
		ok = ok && err == nil
		t.Nodes = append(t.Nodes, n)
	}
	leaders := number()
	for ; ok && leaders > 0 && len(t.Leaders) < maxPartitions; leaders-- {
		t.Leaders = append(t.Leaders, uint16(number()))
	}
	if !ok || nodes > 0 || leaders > 0 || len(b) > 0 {
		return nil, errors.New("link: a table cannot be read")
	}
	return t, nil
}
