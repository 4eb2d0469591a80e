// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/coffer-backup/coffer/seal"
)

// Labels of objects that are no keys of the contract. No key's id looks like one.
const (
	anchorLabel = "coffer anchor" // stays as long as the folder does
	ownerPrefix = "coffer owner " // of one life of a sealer
)

// Sealed bytes are the version, the nonce, the ciphertext and its tag.
const (
	version    = 1
	nonceSize  = 12
	tagSize    = 16
	overhead   = 1 + nonceSize + tagSize
	maxObjects = 4096 // that are listed; a core has a handful
)

// domain keeps what this driver seals apart from whatever else a token's keys could be made to decrypt.
const domain = "coffer/v1/seal/pkcs11"

// bind is what GCM authenticates beside the secret. It is a hash, for tokens bound its length; the parts before the aad are of fixed lengths.
func bind(label string, aad []byte) []byte {
	h := sha256.New()
	h.Write([]byte(domain))
	h.Write([]byte(label))
	h.Write(aad)
	return h.Sum(nil)
}

// ours is what all objects of this folder have in common.
func (l *link) ours() []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_ID, l.name),
	}
}

// generate makes a key in the token. A crash before it returns leaves the whole key or none, as the token promises.
func (l *link) generate(label string) error {
	template := append(l.ours(), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32))
	for attribute, value := range map[uint]bool{
		pkcs11.CKA_PRIVATE: true, pkcs11.CKA_SENSITIVE: true, pkcs11.CKA_EXTRACTABLE: false,
		// A copy would outlive Destroy.
		pkcs11.CKA_COPYABLE: false, pkcs11.CKA_MODIFIABLE: false,
		pkcs11.CKA_ENCRYPT: true, pkcs11.CKA_DECRYPT: true,
		pkcs11.CKA_WRAP: false, pkcs11.CKA_UNWRAP: false, pkcs11.CKA_SIGN: false, pkcs11.CKA_VERIFY: false, pkcs11.CKA_DERIVE: false,
	} {
		template = append(template, pkcs11.NewAttribute(attribute, value))
	}
	key, err := l.p.GenerateKey(l.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, template)
	if err != nil {
		return explain(err)
	}
	// Some tokens ignore what they do not know.
	if err := l.inspect(key); err != nil {
		return errors.Join(err, l.p.DestroyObject(l.session, key))
	}
	return nil
}

func (l *link) inspect(key pkcs11.ObjectHandle) error {
	got, err := l.p.GetAttributeValue(l.session, key, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, nil), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, nil),
	})
	switch {
	case err != nil:
		return explain(err)
	case !bytes.Equal(got[0].Value, []byte{1}), !bytes.Equal(got[1].Value, []byte{0}):
		return fmt.Errorf("%w: it made one that can be read out", ErrUnfit)
	}
	return nil
}

// find returns the objects of that label. A token that was pulled out may show an empty list without a word, so an
// absence counts only if something of ours is there to be seen.
func (l *link) find(label string) ([]pkcs11.ObjectHandle, error) {
	found, err := l.list(pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	if err == nil && len(found) == 0 {
		err = l.vouch()
	}
	return found, err
}

func (l *link) list(more ...*pkcs11.Attribute) (found []pkcs11.ObjectHandle, err error) {
	if err := l.p.FindObjectsInit(l.session, append(l.ours(), more...)); err != nil {
		return nil, explain(err)
	}
	for len(found) <= maxObjects {
		some, _, err := l.p.FindObjects(l.session, 64)
		if err != nil {
			return nil, errors.Join(explain(err), l.p.FindObjectsFinal(l.session))
		}
		if len(some) == 0 {
			return found, explain(l.p.FindObjectsFinal(l.session))
		}
		found = append(found, some...)
	}
	return nil, errors.Join(fmt.Errorf("%w: more than %d keys", ErrUnavailable, maxObjects), l.p.FindObjectsFinal(l.session))
}

// key returns the only object of that id.
func (l *link) key(id seal.KeyID) (pkcs11.ObjectHandle, error) {
	if _, err := seal.ParseKeyID(string(id)); err != nil {
		return 0, seal.ErrNoKey
	}
	found, err := l.find(string(id))
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, seal.ErrNoKey
	case len(found) > 1:
		return 0, fmt.Errorf("%w: %d objects have the label %q", ErrUnavailable, len(found), id)
	}
	return found[0], nil
}

func gcm(nonce, bound []byte) (*pkcs11.GCMParams, []*pkcs11.Mechanism) {
	params := pkcs11.NewGCMParams(nonce, bound, 8*tagSize)
	return params, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}
}

// encrypt draws a random nonce. Some tokens put their own in its place. One key seals a handful of secrets in its life, far below the
// 2^32 that NIST SP 800-38D section 8.3 allows.
func (l *link) encrypt(key pkcs11.ObjectHandle, secret, bound []byte) ([]byte, error) {
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	params, mechanism := gcm(nonce[:], bound)
	defer params.Free()
	if err := l.p.EncryptInit(l.session, mechanism, key); err != nil {
		return nil, explain(err)
	}
	ciphertext, err := l.p.Encrypt(l.session, secret)
	if err != nil {
		return nil, explain(err)
	}
	used := params.IV()
	if len(used) != nonceSize || len(ciphertext) != len(secret)+tagSize {
		return nil, fmt.Errorf("%w: its AES-GCM makes %d bytes of %d, with a nonce of %d", ErrUnfit, len(ciphertext), len(secret), len(used))
	}
	return append(append([]byte{version}, used...), ciphertext...), nil
}

// decrypt takes what has the size of sealed bytes. Tokens disagree on what to answer to a wrong tag, and the commonest answer is
// the one to a failure of their own. So then the same key must do a round trip, to say that it was the bytes.
func (l *link) decrypt(key pkcs11.ObjectHandle, sealed, bound []byte) ([]byte, error) {
	secret, err := l.decryptOnce(key, sealed, bound)
	if err == nil {
		return secret, nil
	}
	known, probing := l.encrypt(key, []byte(domain), bound)
	if probing == nil {
		known, probing = l.decryptOnce(key, known, bound)
	}
	if probing == nil && string(known) == domain {
		return nil, seal.ErrTampered
	}
	return nil, errors.Join(err, probing)
}

func (l *link) decryptOnce(key pkcs11.ObjectHandle, sealed, bound []byte) ([]byte, error) {
	params, mechanism := gcm(sealed[1:1+nonceSize], bound)
	defer params.Free()
	if err := l.p.DecryptInit(l.session, mechanism, key); err != nil {
		return nil, explain(err)
	}
	secret, err := l.p.Decrypt(l.session, sealed[1+nonceSize:])
	return secret, explain(err)
}

// destroy returns nil only if the token shows that the key is not there.
func (l *link) destroy(label string) error {
	found, err := l.find(label)
	if err != nil || len(found) == 0 {
		return err
	}
	for _, key := range found {
		// A crash in it: the token keeps the key or has lost it.
		if err := l.p.DestroyObject(l.session, key); err != nil {
			return explain(err)
		}
	}
	if found, err = l.find(label); err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: it destroyed a key, and still shows it", ErrUnavailable)
	}
	return err
}

// labels of all our objects, the anchor and the owner among them.
func (l *link) labels() (labels []string, err error) {
	found, err := l.list()
	if err != nil {
		return nil, err
	}
	for _, object := range found {
		got, err := l.p.GetAttributeValue(l.session, object, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil)})
		if err != nil {
			return nil, explain(err)
		}
		labels = append(labels, string(got[0].Value))
	}
	return labels, nil
}
