package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden reads every testdata/golden/*.cfg and compares what is printed about it, and what it means
// when it is accepted, with the .want file of the same name.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/golden/*.cfg")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cfg, diags := LoadText(name, string(text), Options{LocalPeer: "here"})
			var out bytes.Buffer
			diags.Print(&Reporter{W: &out, Pid: 1, Version: "0.1.0", Compatible: CompatibleVersion})
			if !diags.Fatal() {
				checkConfig(t, cfg)
				fmt.Fprintf(&out, "%s\n", mustJSON(t, cfg))
			}
			want := strings.TrimSuffix(path, ".cfg") + ".want"
			if *update {
				if err := os.WriteFile(want, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			old, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(old), out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// mustJSON renders a configuration without its empty fields and its positions.
func mustJSON(tb testing.TB, cfg *Config) []byte {
	tb.Helper()
	out, err := json.MarshalIndent(bare(reflect.ValueOf(cfg)), "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// bare turns a value into maps and lists that hold only what is set.
func bare(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return bare(v.Elem())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = bare(v.Index(i))
		}
		return list
	case reflect.Struct:
		if s, ok := v.Interface().(fmt.Stringer); ok {
			return s.String()
		}
		fields := make(map[string]any)
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || f.Type == reflect.TypeFor[Pos]() || v.Field(i).IsZero() {
				continue
			}
			fields[f.Name] = bare(v.Field(i))
		}
		return fields
	}
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	return v.Interface()
}
