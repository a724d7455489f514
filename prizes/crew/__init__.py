"""The crew's logins: what is tried in vain, the second factor, sessions, and the account on paper."""
