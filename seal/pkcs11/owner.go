// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"
)

// The owner is an object at the token that the last sealer that was opened has made, and every other one has lost.
//
// Let A and B be sealers of two copies of a folder that both open something under a key and then see that the key is gone, each
// finding its owner after that. If B took over later than A did, it destroyed A's owner before it opened anything. So A saw its own
// before that, and the key was gone when B opened what it cannot have opened. This holds for a token that does one thing after the other;
// not for a cluster whose members learn of a destroyed object later.

func newOwner() string {
	var random [16]byte
	rand.Read(random[:])
	return ownerPrefix + hex.EncodeToString(random[:])
}

// takeOver makes this sealer the owner.
func (l *link) takeOver() error {
	labels, err := l.labels()
	if err != nil {
		return err
	}
	anchored := false
	for _, label := range labels {
		anchored = anchored || label == anchorLabel
	}
	if !anchored {
		return ErrCleared
	}
	if err := l.generate(l.owner); err != nil {
		return err
	}
	// A crash from here on leaves an owner that nobody is, for the next one to destroy. Two that take over at the same
	// moment may both lose; then the next one has it.
	if labels, err = l.labels(); err != nil {
		return err
	}
	for _, label := range labels {
		if strings.HasPrefix(label, ownerPrefix) && label != l.owner {
			if err := l.destroy(label); err != nil {
				return err
			}
		}
	}
	return l.vouch()
}

// vouch returns nil if the token shows what this sealer has made: so it is the right token, nobody took over, and
// what it did not show a moment ago was not there.
func (l *link) vouch() error {
	for _, label := range []string{l.owner, anchorLabel} {
		found, err := l.list(pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
		switch {
		case err != nil:
			return err
		case len(found) > 0 && label == l.owner:
			return nil
		case len(found) > 0:
			return ErrOvertaken
		}
	}
	return ErrCleared
}

// prove does a round trip with the anchor, so that a token without AES-GCM is found out at the start.
func (l *link) prove() error {
	found, err := l.list(pkcs11.NewAttribute(pkcs11.CKA_LABEL, anchorLabel))
	if err != nil {
		return err
	} else if len(found) != 1 {
		return fmt.Errorf("%w: %d anchors", ErrCleared, len(found))
	}
	bound := bind(anchorLabel, nil)
	sealed, err := l.encrypt(found[0], []byte(domain), bound)
	if err == nil {
		_, err = l.decryptOnce(found[0], sealed, bound)
	}
	return err
}

// empty destroys all our objects, and says how many there were.
func (l *link) empty() (n int, err error) {
	found, err := l.list()
	for _, object := range found {
		if err := l.p.DestroyObject(l.session, object); err != nil {
			return n, explain(err)
		}
		n++
	}
	if err == nil && n > 0 {
		if found, err = l.list(); err == nil && len(found) > 0 {
			err = fmt.Errorf("%w: it destroyed objects, and still shows them", ErrUnavailable)
		}
	}
	return n, err
}
