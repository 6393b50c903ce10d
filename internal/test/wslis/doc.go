// Package wslis tests that the command in docs/wslis.md turns a program for wslis into one
// for this library.
package wslis
