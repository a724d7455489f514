"""Sockets: phones and screens, the reports they send and the frames they get. Imports no model, touches no database."""
