// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command fleet measures a vault of several replicas, from outside, and prints tables for docs/PERFORMANCE.md.
//
// It starts cofferd dev on loopback in a temporary folder, puts cofferd load on it, and reads the nodes' own counts and /proc. Distance
// is made by a TCP proxy before each node, toxiproxy, which holds every byte back in each direction: nodes and gateway
// are then as far from each other. It takes a bounded time, and stops and removes all that it made.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is one run.
type bench struct {
	bin, scratch string

	replicas   []int
	delays     []int // milliseconds in each direction; 0: no proxy
	mixes      []string
	workers    int
	accounts   int
	duration   time.Duration
	rounds     int           // of failover
	away       time.Duration // how long a node is away at most, and
	changes    uint64        // how many changes it misses at most
	partitions int           // of an idle fleet
	idle       time.Duration

	report report
}

var allSteps = []string{"load", "batch", "failover", "catchup", "idle"}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	only := flag.String("only", strings.Join(allSteps, ","), "the `steps` to measure")
	replicas := flag.String("replicas", "1,3,5", "`numbers` of replicas to put load on")
	delays := flag.String("delays", "0,5,40,80", "`milliseconds` from node to node, one way; 0 is loopback as it is")
	mixes := flag.String("mixes", "recover,register", "`mixes` of cofferd load")
	flag.IntVar(&b.workers, "workers", 64, "operations under way")
	flag.IntVar(&b.accounts, "accounts", 128, "accounts of a load")
	flag.DurationVar(&b.duration, "duration", 4*time.Second, "how long each load is measured")
	flag.IntVar(&b.rounds, "rounds", 4, "how often a leader is killed")
	flag.Uint64Var(&b.changes, "changes", 100_000, "how many changes a node that was away has to catch up with, at most")
	flag.DurationVar(&b.away, "away", 45*time.Second, "how long a node is away, at most")
	flag.IntVar(&b.partitions, "partitions", 256, "partitions of the fleet that idles")
	flag.DurationVar(&b.idle, "idle", 10*time.Second, "how long a fleet is watched that idles")
	quick := flag.Bool("quick", false, "a short look, under a minute and a half: 1 and 3 replicas, 0 and 40 ms, 2 s each, one kill")
	timeout := flag.Duration("timeout", 12*time.Minute, "give up after so long")
	flag.StringVar(&b.bin, "bin", "bin", "the `folder` of cofferd and toxiproxy-server")
	scratch := flag.String("scratch", os.TempDir(), "the `folder` to work in")
	flag.Parse()
	if *quick {
		shorten()
	}
	b.mixes = strings.Split(*mixes, ",")
	var err error
	if b.replicas, err = numbers(*replicas, 1, 15); err != nil {
		return err
	}
	if b.delays, err = numbers(*delays, 0, 1000); err != nil {
		return err
	}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if b.scratch, err = os.MkdirTemp(*scratch, "coffer-fleet-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	return b.steps(ctx, strings.Split(*only, ","))
}

// shorten sets what the user did not.
func shorten() {
	said := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { said[f.Name] = true })
	for name, value := range map[string]string{"replicas": "1,3", "delays": "0,40", "duration": "2s", "rounds": "1", "away": "6s", "idle": "4s"} {
		if !said[name] {
			_ = flag.Set(name, value) // they are right
		}
	}
}

func numbers(list string, least, most int) (ns []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("%q is no number from %d to %d", text, least, most)
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// steps measures, and prints what it has, whether or not all of it could be measured.
func (b *bench) steps(ctx context.Context, only []string) (err error) {
	for _, s := range only {
		if !slices.Contains(allSteps, s) {
			return fmt.Errorf("there is no step %q, only %s", s, strings.Join(allSteps, ", "))
		}
	}
	defer b.report.print(os.Stdout)
	wants := func(step string) bool { return slices.Contains(only, step) }
	for _, n := range b.replicas {
		if wants("load") || n > 1 && (wants("batch") || wants("failover") || wants("catchup")) {
			if err := b.fleetOf(ctx, n, wants); err != nil {
				return fmt.Errorf("%d replicas: %w", n, err)
			}
		}
	}
	if wants("idle") {
		return b.idling(ctx)
	}
	return nil
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
