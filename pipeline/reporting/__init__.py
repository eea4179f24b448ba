"""What people are shown of results: page, pictures, Markdown, leaderboard, model card, CSV."""
