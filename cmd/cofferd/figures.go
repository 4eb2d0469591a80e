// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/coffer-backup/coffer/vault"
)

// figures are a node's, for its registry. None tells anything about one account.
var figures = map[string]struct {
	help string
	of   func(*vault.Status) uint64
}{
	"accounts":    {"Accounts that the vault knows.", func(s *vault.Status) uint64 { return s.Accounts }},
	"epoch":       {"Number of the key that seals the log.", func(s *vault.Status) uint64 { return s.Epoch }},
	"disk_bytes":  {"Bytes of disk that the store takes.", func(s *vault.Status) uint64 { return s.DiskBytes }},
	"serving":     {"1 if every partition has a leader and this node takes part.", func(s *vault.Status) uint64 { return truth(s.Serving) }},
	"leads":       {"Partitions that this node leads.", func(s *vault.Status) uint64 { return uint64(s.Leads()) }},
	"lag_entries": {"Log entries that the slowest partition is behind.", func(s *vault.Status) uint64 { return s.Behind() }},
	"applied": {"Log entries that took effect, over all partitions.", func(s *vault.Status) uint64 {
		return sum(s, func(p *vault.Partition) uint64 { return p.Applied })
	}},
	"log_entries": {"Log entries since the last snapshot, over all partitions.", func(s *vault.Status) uint64 {
		return sum(s, func(p *vault.Partition) uint64 { return p.LogEntries })
	}},
	"sealer_failing": {"1 if the sealer, such as an HSM or a TPM, fails or does not answer.", func(s *vault.Status) uint64 { return truth(s.Sealer.For > 0) }},
	"unerased_seconds": {"For how long something that was destroyed may have been readable on this node's disk, with its sealer.", func(s *vault.Status) uint64 {
		return (s.Erasure.Nodes[0].Ms + 999) / 1000
	}},
	"erasure_stragglers": {"Nodes, of those that this one knows of, at which it has been so for longer than it should.", func(s *vault.Status) uint64 {
		return uint64(len(s.Erasure.Stragglers()))
	}},
	"peers_connected": {"Other nodes that this one is connected with.", func(s *vault.Status) (n uint64) {
		for _, p := range s.Peers {
			n += truth(p.Connected)
		}
		return n
	}},
}

// counts are figures that only grow while the node runs.
var counts = map[string]struct {
	help string
	of   func(*vault.Counts) uint64
}{
	"disk_syncs_total":         {"Files that were synced.", func(c *vault.Counts) uint64 { return c.DiskSyncs }},
	"disk_written_bytes_total": {"Bytes written to the store's files.", func(c *vault.Counts) uint64 { return c.DiskWritten }},
	"peer_sent_bytes_total":    {"Bytes sent to the other nodes, TLS included.", func(c *vault.Counts) uint64 { return c.PeerBytes }},
	"peer_sent_writes_total":   {"Writes in which these were sent.", func(c *vault.Counts) uint64 { return c.PeerWrites }},
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func sum(s *vault.Status, of func(*vault.Partition) uint64) (n uint64) {
	for i := range s.Partitions {
		n += of(&s.Partitions[i])
	}
	return n
}

// vaultRegistry returns a registry of the figures of status.
func vaultRegistry(status func() vault.Status) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	for name, figure := range figures {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "coffer_vault_" + name, Help: figure.help}, func() float64 {
			s := status()
			return float64(figure.of(&s))
		}))
	}
	for name, count := range counts {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "coffer_vault_" + name, Help: count.help}, func() float64 {
			s := status()
			return float64(count.of(&s.Since))
		}))
	}
	return registry
}

// healthHandler serves /metrics, /healthz and /readyz to the operator.
func healthHandler(registry *prometheus.Registry, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	return mux
}

// adminServer serves the node's figures and its health.
func (r *nodeRun) adminServer() *http.Server {
	ready := func() error {
		if s := r.vault.Status(); !s.Serving {
			return errors.New("not serving")
		}
		return nil
	}
	handler := healthHandler(vaultRegistry(r.vault.Status), ready)
	return &http.Server{Handler: forThisMachine(r.admin, handler), ReadHeaderTimeout: 5 * time.Second}
}
