//go:build race

package transport_test

// raceDetector says that a program takes a tenth of a second to start.
const raceDetector = true
