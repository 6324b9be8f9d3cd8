//! What a request costs.

use crate::*;

#[test]
fn every_request_costs_the_calls_it_must_and_no_more() {
    let budgets: [(&str, Work, &[Call]); 9] = [
        ("read", |session| drop(session.get(&A)), &[Call::Load]),
        ("set the same", |session| set_a(1)(session), &[Call::Load]),
        ("change", |session| set_a(2)(session), &[Call::Load, Call::Append]),
        (
            "change many",
            |session| {
                set_a(3)(session);
                set_b(3)(session);
                hit(3)(session);
            },
            &[Call::Load, Call::Append],
        ),
        ("remove", |session| assert!(session.remove(&B)), &[Call::Load, Call::Append]),
        ("remove nothing", |session| assert!(!session.remove(&B)), &[Call::Load]),
        ("login", |session| login("ada")(session), &[Call::Load, Call::AppendAt]),
        (
            "start over",
            |session| {
                session.invalidate();
                set_a(1)(session);
            },
            &[Call::Load, Call::Delete, Call::Create],
        ),
        ("end", Session::invalidate, &[Call::Load, Call::Delete]),
    ];
    both(&Policy::default(), |world| {
        let mut client = world.visitor(set_a(1));
        assert_eq!(world.store.calls(), [Call::Create]);
        for (what, work, calls) in budgets {
            world.visit(&mut client, work);
            assert_eq!(world.store.calls(), calls, "{what}");
        }
        world.visit(&mut client, |_| {});
        assert_eq!(world.store.calls(), [], "nobody in particular");
    });
}
