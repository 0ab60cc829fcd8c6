"""Laws that every operator must keep, and what one needs to test operators in virtual time."""
