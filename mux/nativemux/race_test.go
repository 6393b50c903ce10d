//go:build race

package nativemux_test

// raceDetector says that tests that move gigabytes take minutes.
const raceDetector = true
