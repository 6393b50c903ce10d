//go:build !race

package nativemux_test

const raceDetector = false
