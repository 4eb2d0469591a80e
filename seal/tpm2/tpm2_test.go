// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm2

import (
	"reflect"
	"testing"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/sealtest"
)

var (
	secret = []byte("epoch key")
	aad    = []byte("epoch 3")
)

func TestConformance(t *testing.T) {
	for name, bind := range map[string]func(*Config){
		"free":  func(*Config) {},
		"bound": func(c *Config) { c.PCRs, c.Auth = []uint{0, 7, 23}, says("correct horse") },
	} {
		t.Run(name, func(t *testing.T) {
			tpm := newTPM(t)
			sealtest.Run(t, func(t *testing.T) (seal.Sealer, func() seal.Sealer) {
				config := tpm.config(t)
				bind(&config)
				s := must(Create(t.Context(), config))(t)
				return s, func() seal.Sealer {
					s.Close()
					s = must(Open(t.Context(), config))(t)
					return s
				}
			})
		})
	}
}

// oneFile is a folder with one file.
type oneFile struct {
	files
	data []byte
}

func (f *oneFile) Read(_ string, limit int) ([]byte, error) {
	return f.data[:min(limit, len(f.data))], nil
}
func (f *oneFile) Write(_ string, data []byte) error { f.data = data; return nil }
func (*oneFile) Rename(string, string) error         { return nil }
func (*oneFile) Remove(string) error                 { return nil }
func (*oneFile) Sync() error                         { return nil }

// FuzzAnchor: an anchor that is accepted is written so that it reads the same.
func FuzzAnchor(f *testing.F) {
	whole := newAnchor(make([]byte, nameSize), true, []uint{0, 7})
	whole.Policy, whole.Random = make([]byte, 32), make([]byte, 32)
	whole.Replaces = &anchor{Version: 1, TPM: whole.TPM, Index: firstIndex, Random: whole.Random, Policy: whole.Policy}
	var file oneFile
	for _, a := range []*anchor{whole, whole.Replaces} {
		if err := writeAnchor(&file, anchorName, a); err != nil {
			f.Fatal(err)
		}
		f.Add(file.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readAnchor(&oneFile{data: data}, anchorName)
		if err != nil {
			return
		}
		var again oneFile
		if err := writeAnchor(&again, anchorName, a); err != nil {
			t.Fatal(err)
		}
		if b := must(readAnchor(&again, anchorName))(t); !reflect.DeepEqual(a, b) {
			t.Errorf("%+v became %+v", a, b)
		}
	})
}
