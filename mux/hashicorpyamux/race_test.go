//go:build race

package hashicorpyamux_test

const raceDetector = true
