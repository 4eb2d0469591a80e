// SPDX-License-Identifier: Apache-2.0

package link

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Fingerprint is the SHA-256 of a certificate.
type Fingerprint [sha256.Size]byte

// Identity is a certificate and its private key.
type Identity struct {
	certificate tls.Certificate
	fingerprint Fingerprint
}

// Fingerprint is what others pin.
func (i *Identity) Fingerprint() Fingerprint { return i.fingerprint }

const identityName = "link.pem"

// OpenIdentity reads the identity that is kept in dir, and makes it first where there is none. The file is for its owner alone.
func OpenIdentity(dir string) (*Identity, error) {
	path := filepath.Join(dir, identityName)
	encoded, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if encoded, err = makeIdentity(); err == nil {
			err = writeOnce(path, encoded)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("link: identity: %w", err)
	}
	defer clear(encoded)
	pair, err := tls.X509KeyPair(encoded, encoded)
	if err != nil {
		return nil, fmt.Errorf("link: %s is damaged; remove it, and the node gets a new identity, of which the others must be told: %w", path, err)
	}
	return &Identity{pair, sha256.Sum256(pair.Certificate[0])}, nil
}

// writeOnce makes a file whole or not at all, and never over another.
func writeOnce(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), identityName+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// makeIdentity makes a self-signed certificate. Nobody looks at anything in it but its bytes: it is pinned.
func makeIdentity() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "coffer"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	return append(encoded, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

// What a connection is for, by ALPN.
const (
	forPeers    = "coffer-peer/1"
	forGateways = "coffer-gateway/1"
)

// server is the TLS configuration of who listens. Whose certificate it is, is judged after the handshake.
func (i *Identity) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{i.certificate},
		ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{forPeers, forGateways}, SessionTicketsDisabled: true,
	}
}

var errPinned = errors.New("link: the node shows another certificate than the one that is pinned")

// client is the TLS configuration of who dials a node with a certificate.
func (i *Identity) client(pinned Fingerprint, protocol string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{i.certificate}, NextProtos: []string{protocol},
		InsecureSkipVerify: true, // there is no authority; VerifyConnection pins
		VerifyConnection: func(state tls.ConnectionState) error {
			if peerFingerprint(state) != pinned {
				return errPinned
			}
			return nil
		},
	}
}

// peerFingerprint is zero, which no certificate has, where there is none.
func peerFingerprint(state tls.ConnectionState) (f Fingerprint) {
	if len(state.PeerCertificates) > 0 {
		f = sha256.Sum256(state.PeerCertificates[0].Raw)
	}
	return f
}
