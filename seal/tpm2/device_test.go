// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// tapped is what went over the bus.
type tapped struct {
	device
	bytes    *bytes.Buffer
	commands *[]tpm2.TPMCC
}

func (d tapped) Write(command []byte) (int, error) {
	d.bytes.Write(command)
	*d.commands = append(*d.commands, tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])))
	return d.device.Write(command)
}

func (d tapped) Read(response []byte) (int, error) {
	n, err := d.device.Read(response)
	d.bytes.Write(response[:n])
	return n, err
}

// TestBus: who listens on the bus from the first command on sees no secret. And an epoch writes to the TPM once.
func TestBus(t *testing.T) {
	tpm := newTPM(t)
	config := tpm.config(t)
	config.Auth = says("correct horse")
	var bus bytes.Buffer
	var commands []tpm2.TPMCC
	tap := func(ctx context.Context) (device, bool, error) {
		d, alone, err := config.dial(ctx)
		return tapped{d, &bus, &commands}, alone, err
	}
	f := must(folder.Create(config.Folder))(t)
	s := must(created(t.Context(), config, f, tap))(t)
	defer s.Close()
	secrets := [][]byte{s.auth, s.anchor.Random}
	value := func() { // read beside the tap
		tpm.talk(func(c *chip) {
			v := must(c.read(s.anchor, s.auth))(t)
			secrets = append(secrets, v[:])
		})
	}
	value()
	old := must(s.NewKey(t.Context()))(t)
	commands = nil
	const epochs = 3
	for range epochs {
		id := must(s.NewKey(t.Context()))(t)
		must(s.Seal(t.Context(), id, secret, aad))(t)
		if err := s.Destroy(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		old = id
		value()
	}
	for _, secret := range secrets {
		for part := range slices.Chunk(secret, 8) {
			if len(part) == 8 && bytes.Contains(bus.Bytes(), part) {
				t.Errorf("seen on the bus: a part of a secret of %d bytes", len(secret))
			}
		}
	}
	writes := 0
	for _, code := range commands {
		switch code {
		case tpm2.TPMCCNVExtend:
			writes++
		case tpm2.TPMCCCreatePrimary, tpm2.TPMCCFlushContext, tpm2.TPMCCGetCapability, tpm2.TPMCCStartAuthSession,
			tpm2.TPMCCPolicyAuthValue, tpm2.TPMCCNVRead, tpm2.TPMCCNVReadPublic: // these change nothing that lasts
		default:
			t.Errorf("command %x", uint32(code))
		}
	}
	if writes != epochs {
		t.Errorf("%d writes in %d epochs", writes, epochs)
	}
}

// answers is a TPM that answers what a function says.
type answers struct {
	answer func() []byte
	left   []byte
}

func (d *answers) Write(command []byte) (int, error) { d.left = d.answer(); return len(command), nil }
func (d *answers) SetDeadline(time.Time) error       { return nil }
func (d *answers) Close() error                      { return nil }
func (d *answers) Read(b []byte) (int, error) {
	if len(d.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, d.left[:min(len(d.left), 7)]) // in pieces
	d.left = d.left[n:]
	return n, nil
}

func response(size uint32, code tpm2.TPMRC, more ...byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x80, 0x01}, size)
	return append(binary.BigEndian.AppendUint32(b, uint32(code)), more...)
}

// TestBusy: a TPM that is busy is asked again, a bounded number of times, and not for a caller that is gone.
func TestBusy(t *testing.T) {
	for _, code := range []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting} {
		asked := 0
		d := &answers{answer: func() []byte {
			if asked++; asked < 4 {
				return response(10, code)
			}
			return response(10, tpm2.TPMRCSuccess)
		}}
		if got, err := (&line{ctx: t.Context(), device: d}).Send(make([]byte, 10)); err != nil || busy(got) || asked != 4 {
			t.Errorf("%v: asked %d times, %v", code, asked, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		d.answer = func() []byte { cancel(); return response(10, code) }
		if _, err := (&line{ctx: ctx, device: d}).Send(make([]byte, 10)); !errors.Is(err, context.Canceled) {
			t.Errorf("%v for a caller that is gone: %v", code, err)
		}
	}
}

// TestStrangeAnswers: what is no response of a TPM is refused before more is read, and reaches no parser.
func TestStrangeAnswers(t *testing.T) {
	for name, answer := range map[string][]byte{
		"nothing":       nil,
		"half a header": {0x80, 1, 0, 0, 0},
		"too short":     response(9, 0),
		"cut":           response(12, 0, 1),
		"too long":      response(10, 0, 1),
		"a huge size":   response(0xffffffff, 0, make([]byte, 2*maxResponse)...),
		"over the room": response(maxResponse+1, 0, make([]byte, maxResponse)...),
	} {
		d := &answers{answer: func() []byte { return answer }}
		if _, err := (&line{ctx: t.Context(), device: d}).Send(make([]byte, 10)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoDevice(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none"), dir} {
		if _, err := Create(t.Context(), Config{Folder: filepath.Join(dir, "keys"), Device: path}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestHeldUp: a caller that waits while another has the TPM leaves when its time is over.
func TestHeldUp(t *testing.T) {
	s := &Sealer{turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { _, err := s.Keys(ctx); left <- err }()
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
