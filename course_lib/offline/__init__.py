"""What pages that need no network are made of: their words, their formulae, their folder."""
