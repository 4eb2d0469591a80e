// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/coffer-backup/coffer/vault"
)

// Handler serves the commands.
func Handler(n Node) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, Status{os.Getpid(), n.Status()})
	})
	handle(mux, "/invite", func(ctx context.Context, b slotBody) (ticketBody, error) {
		ticket, err := n.Invite(ctx, b.Slot)
		return ticketBody{ticket}, err
	})
	handle(mux, "/remove", func(ctx context.Context, b slotBody) (struct{}, error) {
		return struct{}{}, n.Remove(ctx, b.Slot)
	})
	handle(mux, "/transfer", func(ctx context.Context, t vault.Transfer) (struct{}, error) {
		return struct{}{}, n.Transfer(ctx, t)
	})
	handle(mux, "/drain", func(ctx context.Context, _ struct{}) (struct{}, error) {
		return struct{}{}, n.Drain(ctx)
	})
	return mux
}

// handle serves one command: JSON in, JSON out.
func handle[Q, A any](mux *http.ServeMux, path string, do func(context.Context, Q) (A, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var question Q
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		d.DisallowUnknownFields()
		if err := d.Decode(&question); err != nil {
			answer(w, http.StatusBadRequest, errorBody{err.Error()})
			return
		}
		result, err := do(r.Context(), question)
		if err != nil {
			answer(w, statusOf(err), errorBody{err.Error()})
			return
		}
		answer(w, http.StatusOK, result)
	})
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, vault.ErrRefused):
		return http.StatusConflict
	case errors.Is(err, vault.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // a client that has gone away needs no answer
}

// Server returns a server for a node. Commands take as long as they take: Shutdown waits for none that ctx does not end.
func Server(ctx context.Context, n Node) *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			both, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			Handler(n).ServeHTTP(w, r.WithContext(both))
		}),
		ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: maxRequest,
	}
}
