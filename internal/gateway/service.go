// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The procedures of vault.proto.
const (
	procedureCall       = "/coffer.v1.Vault/Call"
	procedureDescriptor = "/coffer.v1.Vault/Descriptor"
)

// framing is what a protocol adds to a message: gRPC's 5 bytes, protobuf's tag and length, JSON's quotes.
const framing = 64

// maxMessage bounds the encoded form of so many bytes; JSON has them in base64.
func maxMessage(size int) int { return (size+2)/3*4 + framing }

// options are those of every procedure. Sealed bytes do not compress, and nobody is to send us what expands.
func options(maxBytes int, gates ...connect.RequestGateFunc) []connect.HandlerOption {
	o := []connect.HandlerOption{connect.WithReadMaxBytes(maxBytes), connect.WithCompression("gzip", nil, nil)}
	for _, gate := range gates {
		o = append(o, connect.WithRequestGate(gate))
	}
	return o
}

func (g *Gateway) serveCall(mux *http.ServeMux) {
	limit := maxMessage(g.limits.MaxRequestBytes)
	handler := connect.NewUnaryHandler(procedureCall, g.call, options(limit, g.admitAddress, g.admitAccount)...)
	mux.Handle(procedureCall, g.observe("Call", limit, handler))
}

func (g *Gateway) serveDescriptor(mux *http.ServeMux) {
	limit := maxMessage(0)
	handler := connect.NewUnaryHandler(procedureDescriptor, g.descriptor, options(limit, g.admitAddress)...)
	mux.Handle(procedureDescriptor, g.observe("Descriptor", limit, handler))
}

func (g *Gateway) call(ctx context.Context, r *connect.Request[wrapperspb.BytesValue]) (*connect.Response[wrapperspb.BytesValue], error) {
	envelope := r.Msg.GetValue()
	note(ctx).size = len(envelope)
	if len(envelope) == 0 || len(envelope) > g.limits.MaxRequestBytes {
		why := fmt.Errorf("an envelope has 1 to %d bytes", g.limits.MaxRequestBytes)
		return nil, g.refuse(ctx, connect.NewError(connect.CodeInvalidArgument, why))
	}
	return g.ask(ctx, func(ctx context.Context) ([]byte, error) { return g.backend.Handle(ctx, envelope) })
}

func (g *Gateway) descriptor(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[wrapperspb.BytesValue], error) {
	return g.ask(ctx, g.backend.Descriptor)
}

func (g *Gateway) ask(ctx context.Context, backend func(context.Context) ([]byte, error)) (*connect.Response[wrapperspb.BytesValue], error) {
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := backend(bounded)
	if err != nil {
		return nil, g.refuse(ctx, err)
	}
	note(ctx).code = codeOK
	return connect.NewResponse(wrapperspb.Bytes(answer)), nil
}
