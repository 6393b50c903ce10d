//go:build !race

package xtacismux_test

const raceDetector = false
