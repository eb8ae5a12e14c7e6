package main

import (
	"math/rand/v2"
	"slices"
)

// estimate is the median of what several rounds measured, with its 95 % interval.
type estimate struct{ Median, Low, High float64 }

// resamples of the bootstrap: more move the interval by less than what is printed.
const resamples = 10_000

// estimateOf takes the interval from a bootstrap: it asks nothing of the distribution, and noise on a shared machine has long tails.
// The generator is seeded, so the same rounds give the same interval.
func estimateOf(values []float64) estimate {
	random := rand.New(rand.NewPCG(1, 2))
	medians, sample := make([]float64, resamples), make([]float64, len(values))
	for i := range medians {
		for j := range sample {
			sample[j] = values[random.IntN(len(values))]
		}
		medians[i] = median(sample)
	}
	slices.Sort(medians)
	return estimate{median(values), medians[resamples*25/1000], medians[resamples*975/1000-1]}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// each applies f to every element.
func each[T any](from []T, f func(T) float64) []float64 {
	to := make([]float64, len(from))
	for i, v := range from {
		to[i] = f(v)
	}
	return to
}
