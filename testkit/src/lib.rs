//! Real Redis servers, Sentinels and broken networks for the tests of sessile.
