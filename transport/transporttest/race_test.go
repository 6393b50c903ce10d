//go:build race

package transporttest_test

const raceDetector = true
