//go:build race

package long

const raceDetector = true
