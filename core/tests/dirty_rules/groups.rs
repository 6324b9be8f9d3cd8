//! Attributes that belong together.

use crate::*;

const ACCOUNT: Group = Group::new(&["user", "role"]);
const USER: Key<u32> = Key::new("user").in_group(ACCOUNT);
const ROLE: Key<u32> = Key::new("role").in_group(ACCOUNT);

fn account(user: u32, role: u32) -> impl Fn(&mut Session) {
    move |session| {
        session.set(&USER, user).expect("a number can be set");
        session.set(&ROLE, role).expect("a number can be set");
    }
}

fn seen(world: &World, client: &Client) -> (Option<u32>, Option<u32>) {
    let session = world.open(client);
    (session.get(&USER).expect("a number"), session.get(&ROLE).expect("a number"))
}

#[test]
fn if_one_member_is_dirty_all_are_written() {
    both(&Policy::default(), |world| {
        let client = world.visitor(account(1, 1));
        assert_eq!(written(world, &client, |s| s.set(&ROLE, 2).unwrap()), ["role", "user"]);
        assert_eq!(written(world, &client, |s| s.set(&ROLE, 2).unwrap()), [""; 0]);
        assert_eq!(written(world, &client, |s| s.set(&A, 2).unwrap()), ["a"]);
    });
}

#[test]
fn values_of_two_requests_never_mix() {
    both(&Policy::default(), |world| {
        let client = world.visitor(account(1, 1));
        let (mut one, mut two) = (world.open(&client), world.open(&client));
        one.set(&ROLE, 2).unwrap();
        two.set(&USER, 3).unwrap();
        drop(world.commit(one).unwrap());
        drop(world.commit(two).unwrap());
        assert_eq!(seen(world, &client), (Some(3), Some(1)), "as the second saw them");
    });
}

#[test]
fn values_never_mix_behind_somebody_who_came_first() {
    // A rotation is appended at a position, so the second has to go on from what the first left.
    both(&Policy::default(), |world| {
        let mut client = world.visitor(account(1, 1));
        let mut slow = world.open(&client);
        slow.set(&ROLE, 2).unwrap();
        slow.rotate(RotationReason::Renewal);
        world.visit(&mut client, account(7, 7));
        world.leave(&mut client, slow);
        assert_eq!(seen(world, &client), (Some(1), Some(2)));
        // Even if both set one member alike.
        let mut slow = world.open(&client);
        slow.set(&ROLE, 9).unwrap();
        slow.rotate(RotationReason::Renewal);
        world.visit(&mut client, account(8, 9));
        world.leave(&mut client, slow);
        assert_eq!(seen(world, &client), (Some(1), Some(9)));
    });
}

#[test]
fn a_member_that_is_absent_in_one_view_is_absent_with_it() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(|s| s.set(&A, 1).unwrap());
        let mut slow = world.open(&client);
        slow.set(&ROLE, 2).unwrap();
        world.visit(&mut client, account(7, 7));
        drop(world.commit(slow).unwrap());
        assert_eq!(seen(world, &client), (None, Some(2)));
        let mut slow = world.open(&client);
        slow.set(&ROLE, 3).unwrap();
        slow.rotate(RotationReason::Renewal);
        world.visit(&mut client, account(8, 8));
        world.leave(&mut client, slow);
        assert_eq!(seen(world, &client), (None, Some(3)));
    });
}

#[test]
fn removing_a_member_writes_the_others() {
    both(&Policy::default(), |world| {
        let mut client = world.visitor(account(1, 1));
        let mut slow = world.open(&client);
        assert!(slow.remove(&ROLE));
        world.visit(&mut client, account(7, 7));
        drop(world.commit(slow).unwrap());
        assert_eq!(seen(world, &client), (Some(1), None));
    });
}

#[test]
fn under_reject_a_change_to_a_member_is_a_clash() {
    let policy = Policy::builder().on_conflict(OnConflict::Reject).build().unwrap();
    both(&policy, |world| {
        let mut client = world.visitor(account(1, 1));
        let mut slow = world.open(&client);
        slow.set(&ROLE, 2).unwrap();
        world.visit(&mut client, |s| s.set(&USER, 7).unwrap());
        let failed = world.commit(slow).expect_err("they belong together");
        let CommitError::Conflict { names } = failed.error() else { panic!("{failed}") };
        assert_eq!(names, &["user"]);
    });
}

#[test]
#[should_panic(expected = "a key is in a group that names it")]
fn a_key_in_a_group_that_does_not_name_it_panics_in_every_build() {
    let _ = Key::<u32>::new("rank").in_group(ACCOUNT);
}
