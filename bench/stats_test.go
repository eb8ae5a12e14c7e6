package main

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	values := []float64{3, 1, 2}
	require.Equal(t, 2.0, median(values))
	require.Equal(t, []float64{3, 1, 2}, values, "the order of the rounds stays")
	require.Equal(t, 2.5, median([]float64{4, 1, 3, 2}))
	require.Equal(t, 7.0, median([]float64{7}))
}

func TestEstimate(t *testing.T) {
	require.Equal(t, estimate{5, 5, 5}, estimateOf([]float64{5, 5, 5, 5}), "no spread, no interval")

	values := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 1000}
	e := estimateOf(values)
	require.Equal(t, 8.0, e.Median, "one outlier does not move it")
	require.Equal(t, e, estimateOf(values), "the same rounds, the same interval")
	// Of 15 values the interval of the median runs about from the 4th to the 12th: the binomial distribution puts 96.5 % there.
	require.InDelta(t, 4, e.Low, 1)
	require.InDelta(t, 12, e.High, 1)
}

// The interval must hold what it promises: of many runs, 95 % contain the true median.
func TestEstimateCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const runs = 100
	covered := 0
	for range runs {
		values := make([]float64, 15)
		for i := range values {
			values[i] = 1 + 0.05*random.NormFloat64()
		}
		if e := estimateOf(values); e.Low <= 1 && 1 <= e.High {
			covered++
		}
	}
	require.GreaterOrEqual(t, covered, 88)
}

func TestRound(t *testing.T) {
	r := round{nothing: 10, nothingAgain: 12, ours: 51, lua: 91}
	require.Equal(t, 11.0, r.base())
	require.Equal(t, 2.0, r.perFilter(ours))
	require.Equal(t, estimate{0.5, 0.5, 0.5}, ratioTo([]round{r, r}, lua))
}

func TestVoided(t *testing.T) {
	for median, void := range map[float64]bool{0.969: true, 0.97: false, 1: false, 1.03: false, 1.031: true} {
		err := voided(estimate{Median: median})
		if void {
			require.ErrorContains(t, err, "the run is void", median)
		} else {
			require.NoError(t, err, median)
		}
	}
	r := round{nothing: 10, nothingAgain: 10.5}
	require.Error(t, voided(aaOf([]round{r, r, r})))
}
