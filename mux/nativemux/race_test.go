//go:build race

package nativemux_test

// raceDetector says that what moves gigabytes takes minutes.
const raceDetector = true
