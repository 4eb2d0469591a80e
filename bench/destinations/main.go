// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command destinations measures coffer and Debian's restic on one S3 server, in turn: requests, bytes and time, at several
// distances, and with many old snapshots. It prints the tables of docs/PERFORMANCE.md.
//
// The server is versitygw over a folder, on the same machine. Before it stands a proxy that counts requests and the bytes of
// their bodies in both directions, and before that one that holds every byte back, half of the round trip in each direction. Opening a connection
// is not delayed, for either. Contenders are processes of their own; coffer's is this program again, which does through the library
// what the command does.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/coffer-backup/coffer/sqlitecopy"
)

// bench is one run of the benchmark.
type bench struct {
	scale     float64
	trips     []int // round-trip times in milliseconds
	snapshots []int
	scratch   string
	bin       string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "destinations:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) == 2 && os.Args[1] == copyCommand { // first, for it is no order
		os.Exit(sqlitecopy.ChildMain(os.Stdin, os.Stdout))
	}
	if order, ok := os.LookupEnv(orderVariable); ok {
		os.Unsetenv(orderVariable) // it is not for this process's children
		return serve(order)
	}
	var b bench
	flag.Float64Var(&b.scale, "scale", 0.1, "size of the store, as a part of 3.1 GB")
	trips := flag.String("trips", "0,20,100", "round-trip `times` in milliseconds")
	snapshots := flag.String("snapshots", "1,10,100", "`numbers` of old snapshots")
	scratch := flag.String("scratch", os.TempDir(), "the `folder` to work in; needs eight times the store's size")
	flag.StringVar(&b.bin, "bin", "bin", "the `folder` of toxiproxy-server")
	flag.Parse()
	var err error
	if b.trips, err = numbers(*trips); err != nil {
		return err
	}
	if b.snapshots, err = numbers(*snapshots); err != nil {
		return err
	}
	if b.scratch, err = os.MkdirTemp(*scratch, "coffer-destinations-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return b.measure(ctx)
}

func numbers(list string) (all []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func (b *bench) path(name string) string { return filepath.Join(b.scratch, name) }

// serve does one operation of coffer in this process.
func serve(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	o.copyDatabase = sqlitecopy.Child(exe, copyCommand)
	return o.do(context.Background())
}
