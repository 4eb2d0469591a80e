// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// nvExtend is TPM2_NV_Extend (TPM 2.0 Library, part 3, 31.9), which go-tpm 0.9.8 does not have. The session
// authorises the index, and encrypts the data if it encrypts parameters.
func nvExtend(tpm transport.TPM, index tpm2.NamedHandle, session tpm2.Session, data []byte) error {
	if err := session.Init(tpm); err != nil {
		return err
	}
	if err := session.NewNonceCaller(); err != nil {
		return err
	}
	params := tpm2.Marshal(tpm2.TPM2BMaxNVBuffer{Buffer: data})
	if err := session.Encrypt(params[2:]); err != nil { // all behind the length
		return err
	}
	names := []tpm2.TPM2BName{index.Name, index.Name} // of what authorises, and of what is extended
	authorization, err := session.Authorize(tpm2.TPMCCNVExtend, params, nil, names, 0)
	if err != nil {
		return err
	}
	response, err := tpm.Send(commandOf(tpm2.TPMCCNVExtend, index.Handle, tpm2.Marshal(authorization), params))
	if err != nil {
		return err
	}
	// The line has checked that there is a header, and that the size in it is that of the response.
	if code := tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])); code != tpm2.TPMRCSuccess {
		if err := session.CleanupFailure(tpm); err != nil {
			return fmt.Errorf("%w, and its session stays: %w", code, err)
		}
		return code
	}
	// No parameters come back: behind their size, 0, is the session's answer.
	const before = headerSize + 4
	if len(response) < before || binary.BigEndian.Uint32(response[headerSize:]) != 0 {
		return fmt.Errorf("%w as it should: %d bytes", ErrUnavailable, len(response))
	}
	answer, err := tpm2.Unmarshal[tpm2.TPMSAuthResponse](response[before:])
	if err != nil {
		return fmt.Errorf("%w as it should: %w", ErrUnavailable, err)
	}
	return session.Validate(tpm2.TPMRCSuccess, tpm2.TPMCCNVExtend, nil, names, 0, answer)
}

// commandOf puts a command on an index together: header, the handle twice, authorization, parameters.
func commandOf(code tpm2.TPMCC, index tpm2.TPMHandle, authorization, params []byte) []byte {
	size := headerSize + 4 + 4 + 4 + len(authorization) + len(params)
	b := binary.BigEndian.AppendUint16(make([]byte, 0, size), uint16(tpm2.TPMSTSessions))
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	b = binary.BigEndian.AppendUint32(b, uint32(index))
	b = binary.BigEndian.AppendUint32(b, uint32(index))
	b = binary.BigEndian.AppendUint32(b, uint32(len(authorization)))
	return append(append(b, authorization...), params...)
}
