// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// report is the result of a measurement.
type report struct {
	Mix            string         `json:"mix"`
	Accounts       int            `json:"accounts"`
	Workers        int            `json:"workers"`
	Rate           float64        `json:"rate"` // 0: each worker began the next operation when its last one was done
	Seconds        float64        `json:"seconds"`
	PrepareSeconds float64        `json:"prepare_seconds"`
	Operations     int64          `json:"operations"`
	PerSecond      float64        `json:"per_second"`
	P50            float64        `json:"p50_ms"`
	P99            float64        `json:"p99_ms"`
	P999           float64        `json:"p999_ms"`
	Max            float64        `json:"max_ms"`
	Gap            float64        `json:"longest_gap_ms"` // in which no operation was done
	Missed         int64          `json:"missed"`         // were to begin, and no worker was free until the end; their waiting is in the quantiles
	Failed         int            `json:"failed"`
	Failures       map[string]int `json:"failures,omitempty"`
	ClientCPU      float64        `json:"client_cpu_ms,omitempty"` // of each operation; failed ones and logins are in it
	HostCPU        float64        `json:"host_cpu_ms,omitempty"`   // likewise: of the process of gateway, issuer and host
	CoreCPU        float64        `json:"core_cpu_ms,omitempty"`   // likewise
	VaultDiskBytes uint64         `json:"vault_disk_bytes,omitempty"`

	example error // of a failure
}

func (l *load) report(s *schedule, prepared time.Duration, spent cpu) *report {
	took := time.Since(s.start) // until the last operation was done
	r := &report{
		Mix: l.Mix, Accounts: l.Accounts, Workers: l.Workers, Rate: l.Rate, Failures: map[string]int{},
		Seconds: took.Seconds(), PrepareSeconds: prepared.Seconds(),
	}
	all := newTimes()
	for _, w := range l.workers {
		all.merge(w.times)
		r.addFailures(w)
	}
	r.Operations = all.TotalCount()
	r.PerSecond = float64(r.Operations) / took.Seconds()
	s.missed(func(waited time.Duration) {
		r.Missed++
		all.add(waited)
	})
	r.P50, r.P99, r.P999, r.Max = all.quantile(50), all.quantile(99), all.quantile(99.9), all.quantile(100)
	r.Gap = s.gap.Seconds() * 1000
	each := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(max(r.Operations, 1)) }
	r.ClientCPU, r.HostCPU, r.CoreCPU = each(spent.client), each(spent.host), each(spent.core)
	if l.target.child != nil {
		r.VaultDiskBytes = l.target.child.diskBytes()
	}
	return r
}

func (r *report) addFailures(w *worker) {
	for cause, n := range w.failures {
		r.Failures[cause] += n
		r.Failed += n
		r.example = w.example
	}
}

func (r *report) print(a *app, asJSON bool) error {
	if err := r.write(a, asJSON); err != nil {
		return err
	}
	if r.Failed > 0 {
		return fmt.Errorf("%d operations failed, one of them so: %w", r.Failed, r.example)
	}
	return nil
}

func (r *report) write(a *app, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(a.out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	_, err := fmt.Fprintf(a.out, "%s: %d operations in %.1f s, %.1f a second, by %d workers on %d accounts\n"+
		"p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, at most %.2f ms; the longest time without an answer %.2f ms\n",
		r.Mix, r.Operations, r.Seconds, r.PerSecond, r.Workers, r.Accounts, r.P50, r.P99, r.P999, r.Max, r.Gap)
	if r.ClientCPU > 0 {
		fmt.Fprintf(a.out, "CPU of an operation: client %.2f ms", r.ClientCPU)
		if r.HostCPU > 0 {
			fmt.Fprintf(a.out, ", gateway and host %.2f ms, core %.2f ms", r.HostCPU, r.CoreCPU)
		}
		fmt.Fprintln(a.out)
	}
	if r.Missed > 0 {
		fmt.Fprintf(a.out, "%d operations never began: the vault did not keep up with %.1f a second\n", r.Missed, r.Rate)
	}
	for _, cause := range slices.Sorted(maps.Keys(r.Failures)) {
		fmt.Fprintf(a.out, "%d failed: %s\n", r.Failures[cause], cause)
	}
	return err
}
