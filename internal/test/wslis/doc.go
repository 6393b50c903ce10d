// Package wslis tests that a program which was written for wslis becomes one of this library
// by the command in docs/wslis.md.
package wslis
