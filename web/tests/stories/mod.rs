//! The stories of sessions on the web: promises kept over real sockets, one list for every
//! framework and every store.
//!
//! Nothing here knows a framework. A harness implements [`framework::Framework`] and calls [`run`]
//! with each [`world::Place`]; another crate includes this with `#[path]`. It needs these among its
//! dev-dependencies: `proptest`, `sessile-conformance`, `sessile-core`, `sessile-store-memory`,
//! `sessile-store-redis`, `sessile-testkit` with `outdoors`, `sessile-web`, and `tokio` with
//! `io-util`, `macros`, `net`, `rt-multi-thread` and `time`.
//!
//! `STORY=part-of-a-name` runs some of them.

mod brittle;
mod browser;
pub(crate) mod framework;
mod http;
pub(crate) mod live;
pub(crate) mod perform;
mod socket;
mod time;
mod transports;
pub(crate) mod world;

mod any_history;
mod cookies;
mod failed_requests;
mod live_sessions;
mod several_cookies;
mod several_layers;
mod unreadable;
mod ways_out;

use std::sync::Arc;

use framework::{Boxed, Framework};
use tokio::task::JoinSet;
use world::{Place, World};

/// A promise, and how it is tried.
type Story = (&'static str, fn(World) -> Boxed<()>);

macro_rules! stories {
    ($($file:ident: $($name:ident)*;)*) => {
        /// Every story.
        const STORIES: &[Story] =
            &[$($((stringify!($name), |world| Box::pin($file::$name(world)))),*),*];
    };
}

stories! {
    ways_out:
        a_client_whose_new_token_was_lost_is_refused_and_logs_in_again
        a_stale_token_is_forgotten_at_logout_and_the_session_stays
        a_renewed_token_is_good_for_the_grace_and_stale_after_it;
    several_cookies:
        of_several_cookies_of_one_name_the_one_that_lives_is_taken
        of_two_cookies_that_live_none_is_taken_and_neither_is_changed
        an_old_cookie_that_the_application_expires_goes;
    unreadable:
        a_log_that_cannot_be_read_is_an_error_of_its_own
        a_log_that_cannot_be_read_is_abandoned_if_the_policy_says_so
        a_log_that_cannot_be_read_does_not_stand_in_the_way_of_one_that_lives;
    any_history:
        after_any_history_the_client_logs_in_and_sees_its_own_login_only;
    failed_requests:
        a_server_error_leaves_nothing
        an_error_of_the_session_leaves_nothing_whatever_becomes_of_it
        a_panic_caught_inside_or_outside_leaves_nothing
        a_timeout_inside_or_outside_leaves_nothing
        what_is_discarded_by_hand_leaves_nothing
        a_failed_request_is_kept_if_the_policy_says_so
        a_login_or_logout_whose_answer_is_a_server_error_is_done
        what_was_saved_in_mid_request_stays;
    several_layers:
        the_same_layer_twice_is_one_session
        two_layers_of_different_cookies_are_two_sessions;
    cookies:
        a_cookie_goes_with_the_browser_by_default
        a_cookie_as_old_as_its_session_is_sent_again_when_a_touch_moves_its_end
        a_remembered_login_outlives_the_browser_and_is_sent_again
        an_answer_says_that_it_varies_whenever_a_session_was_asked_for
        a_partitioned_cookie_is_another_one_for_each_site
        a_token_travels_in_the_query_by_a_transport_of_the_applications_own
        a_token_travels_in_a_form_that_a_layer_around_has_read;
    live_sessions:
        a_socket_lives_through_traffic_and_a_login_and_ends_with_a_logout
        a_socket_that_is_silent_ends_with_its_session
        updates_of_sockets_and_requests_at_once_all_count
        a_stream_of_events_lives_on_and_ends_with_a_logout;
}

/// Runs all stories at once, since some wait for time to pass.
///
/// # Panics
///
/// If one failed; the names of all that did are in the message.
pub(crate) async fn run(framework: impl Framework + 'static, place: Place) {
    let wanted = std::env::var("STORY").unwrap_or_default();
    let framework: Arc<dyn Framework> = Arc::new(framework);
    let mut running = JoinSet::new();
    assert!(STORIES.iter().any(|(name, _)| name.contains(&wanted)), "no story is called {wanted}");
    for (name, story) in STORIES.iter().filter(|(name, _)| name.contains(&wanted)) {
        let world = World::new(Arc::clone(&framework), &place);
        running.spawn(async move {
            let told = tokio::spawn(story(world)).await;
            told.err().map(|_| *name)
        });
    }
    let failed: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "of {} stories these failed: {failed:#?}", STORIES.len());
}
