package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCurrent expects that LICENSES.md is what this program writes, which also fails for a licence
// that is not allowed.
func TestCurrent(t *testing.T) {
	want, err := page()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "LICENSES.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("LICENSES.md is not current: go -C internal/licenses run .")
	}
}

const (
	isc = `ISC License

Copyright (c) 2026 Somebody

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF
THIS SOFTWARE.
`
	gpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public
License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later
version.

This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the implied
warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU General Public License for more details.

You should have received a copy of the GNU General Public License along with this program. If not, see
<https://www.gnu.org/licenses/>.
`
)

func TestLicences(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string // the licences, or what the error says
	}{
		"allowed":                     {map[string]string{"LICENSE": isc}, "ISC"},
		"British":                     {map[string]string{"licence.txt": isc}, "ISC"},
		"none":                        {map[string]string{"README": isc}, "has no licence"},
		"not allowed":                 {map[string]string{"LICENSE": gpl}, "GPL-3.0-or-later is not allowed"},
		"also one that is not":        {map[string]string{"LICENSE": isc + gpl}, "is not allowed"},
		"a package's is not":          {map[string]string{"LICENSE": isc, "vendored/LICENSE": gpl}, "is not allowed"},
		"that of a package apart":     {map[string]string{"LICENSE": isc, "tool/COPYING": gpl}, "ISC"},
		"unknown":                     {map[string]string{"LICENSE": "Ask me first."}, "read it"},
		"something else goes with it": {map[string]string{"LICENSE": isc + strings.Repeat("You may not use it on Mondays. ", 50)}, "read it"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			linked := filepath.Join(dir, "vendored", "code")
			if err := os.MkdirAll(linked, 0o755); err != nil {
				t.Fatal(err)
			}
			for file, text := range test.files {
				file = filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			licences, err := dependency{path: "example.org/lib", version: "v1.0.0", dir: dir, folders: []string{dir, linked}}.licences()
			if got := strings.Join(licences, ", "); err == nil && got != test.want || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %v, want %s", got, err, test.want)
			}
		})
	}
}
