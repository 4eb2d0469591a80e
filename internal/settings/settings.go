// SPDX-License-Identifier: Apache-2.0

// Package settings reads the TOML files of cofferd: one for each node of a vault, one for each gateway.
//
// It guarantees that what it returns is whole: defaults are filled in, paths are absolute, each value was
// checked by itself. A key that it does not know is an error which names the line, so that a mistyped name never
// leaves a default in force. It trusts the owner of the file. No secret is in these files.
package settings

import (
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// ErrInvalid is wrapped by every error about what a file says, and by none about reading it.
var ErrInvalid = errors.New("the settings are not valid")

// Examples are commented files, with each field at its default.
var (
	//go:embed node.toml
	NodeExample string
	//go:embed gateway.toml
	GatewayExample string
)

const maxFile = 1 << 20 // bytes

// read decodes the file at path into v, which has the defaults, and returns the folder that relative paths begin at.
func read(path string, v any) (base string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxFile {
		return "", invalid("%s is longer than %d bytes", path, maxFile)
	}
	if err := decode(string(text), v); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return filepath.Dir(path), nil
}

func decode(text string, v any) error {
	err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(v)
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		first := &unknown.Errors[0]
		return at(first, "there is no setting "+strings.Join(first.Key(), "."))
	}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		return at(wrong, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	if err != nil {
		return invalid("%v", err)
	}
	return nil
}

func at(where *toml.DecodeError, what string) error {
	line, _ := where.Position()
	return invalid("line %d: %s", line, what)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Duration is a time like "90s" or "720h".
type Duration struct{ time.Duration }

// UnmarshalText reads one.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("%q is no time like \"90s\" or \"10m\"", text)
	case parsed < 0:
		return errors.New("a time cannot be negative")
	}
	d.Duration = parsed
	return nil
}

func milliseconds(ms uint64) Duration   { return Duration{time.Duration(ms) * time.Millisecond} }
func (d Duration) milliseconds() uint64 { return uint64(d.Milliseconds()) }

// Fingerprint is the SHA-256 of a node's or a gateway's certificate, 64 hexadecimal digits.
type Fingerprint [32]byte

// UnmarshalText reads one.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(f)) {
		return fmt.Errorf("a fingerprint has %d hexadecimal digits", hex.EncodedLen(len(f)))
	}
	_, err := hex.Decode(f[:], text)
	return err
}

func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// checkAddress refuses what is no host and port.
func checkAddress(name, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && port == "" {
		err = errors.New("the port is missing")
	}
	if err != nil {
		return invalid("%s: %q: %v", name, address, err)
	}
	if name == "advertise" && (host == "" || port == "0") {
		return invalid("advertise: others cannot reach %q", address)
	}
	return nil
}

// checkLoopback refuses what other machines can reach.
func checkLoopback(name, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return invalid("%s: %q: %v", name, address, err)
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return invalid("%s: %q is not a loopback address, such as 127.0.0.1:9433", name, address)
	}
	return nil
}

// under makes a path absolute. An empty one stays empty.
func under(base, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}
