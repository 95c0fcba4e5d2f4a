"""How ``evaluate`` asks: exams, answers, the holdout's duels, what rewards would say, contamination, and comparison."""
