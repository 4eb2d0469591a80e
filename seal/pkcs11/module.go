// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/miekg/pkcs11"
)

// cryptoki is what this driver uses of a module. Tests put a slow, a failing or a dying one before the real one.
type cryptoki interface {
	GetSlotList(tokenPresent bool) ([]uint, error)
	GetTokenInfo(slot uint) (pkcs11.TokenInfo, error)
	OpenSession(slot uint, flags uint) (pkcs11.SessionHandle, error)
	CloseSession(pkcs11.SessionHandle) error
	Login(s pkcs11.SessionHandle, user uint, pin string) error
	GenerateKey(pkcs11.SessionHandle, []*pkcs11.Mechanism, []*pkcs11.Attribute) (pkcs11.ObjectHandle, error)
	DestroyObject(pkcs11.SessionHandle, pkcs11.ObjectHandle) error
	GetAttributeValue(pkcs11.SessionHandle, pkcs11.ObjectHandle, []*pkcs11.Attribute) ([]*pkcs11.Attribute, error)
	FindObjectsInit(pkcs11.SessionHandle, []*pkcs11.Attribute) error
	FindObjects(s pkcs11.SessionHandle, limit int) ([]pkcs11.ObjectHandle, bool, error)
	FindObjectsFinal(pkcs11.SessionHandle) error
	EncryptInit(pkcs11.SessionHandle, []*pkcs11.Mechanism, pkcs11.ObjectHandle) error
	Encrypt(pkcs11.SessionHandle, []byte) ([]byte, error)
	DecryptInit(pkcs11.SessionHandle, []*pkcs11.Mechanism, pkcs11.ObjectHandle) error
	Decrypt(pkcs11.SessionHandle, []byte) ([]byte, error)
}

// module is a library that is loaded once per process and initialised while somebody uses it. It is never unloaded: some
// leave threads behind.
type module struct {
	context *pkcs11.Ctx
	users   int
	ours    bool // it was us who initialised it
}

var modules = struct {
	sync.Mutex
	byPath map[string]*module
}{byPath: map[string]*module{}}

// acquire loads and initialises a module, with the operating system's locks: PKCS#11 allows that once per process.
func acquire(path string) (*module, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%w: the module's path must be absolute, for it runs in this process", ErrConfig)
	}
	modules.Lock()
	defer modules.Unlock()
	m := modules.byPath[path]
	if m == nil {
		context := pkcs11.New(path)
		if context == nil {
			return nil, fmt.Errorf("%w: %s is no PKCS#11 module that can be loaded", ErrUnavailable, path)
		}
		m = &module{context: context}
		modules.byPath[path] = m
	}
	if m.users == 0 {
		err := m.context.Initialize()
		m.ours = err == nil
		if err != nil && !is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) { // by the program that embeds us
			return nil, explain(err)
		}
	}
	m.users++
	return m, nil
}

// release ends with the last user what acquire began. So a sealer that is alone gets a module that starts afresh when it reaches for
// its token again: some see a token that came back in no other way.
func (m *module) release() {
	modules.Lock()
	defer modules.Unlock()
	if m.users--; m.users == 0 && m.ours {
		m.context.Finalize() // it fails only if it is done already
	}
}
