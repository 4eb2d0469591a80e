// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strconv"
)

// describe gives a value as JSON: bytes as hexadecimal digits, texts quoted as in Go, a message with its kind, zero fields left out.
func describe(value any) string {
	return string(must1(json.Marshal(plainValue(reflect.ValueOf(value)))))
}

func plainValue(r reflect.Value) any {
	switch r.Kind() {
	case reflect.Pointer, reflect.Interface:
		return plainValue(r.Elem())
	case reflect.String:
		q := strconv.Quote(r.String())
		return q[1 : len(q)-1]
	case reflect.Array, reflect.Slice:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			return hexOf(r)
		}
		list := []any{}
		for i := range r.Len() {
			list = append(list, plainValue(r.Index(i)))
		}
		return list
	case reflect.Struct:
		return plainFields(r)
	}
	return r.Interface()
}

func plainFields(r reflect.Value) map[string]any {
	fields := map[string]any{}
	if body, ok := reflect.New(r.Type()).Interface().(Body); ok {
		fields["Kind"] = body.Kind()
	}
	for i := range r.NumField() {
		f, name := r.Field(i), r.Type().Field(i).Name
		if f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0 {
			continue
		}
		fields[name] = plainValue(f)
	}
	return fields
}

func hexOf(r reflect.Value) string {
	b := make([]byte, r.Len())
	reflect.Copy(reflect.ValueOf(b), r)
	return hex.EncodeToString(b)
}
