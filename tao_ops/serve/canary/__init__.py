"""The canary: a share of the users is answered by the candidate for a while before it becomes the champion."""
